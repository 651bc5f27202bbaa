"""A session, driven call by call: what comes in, what goes out, and what may not happen."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gateway.core.audio import FRAME_MS, FRAME_SAMPLES, CutReason, DecodeOptions
from gateway.core.errors import BadRequest, DeadlineExceeded, IdleTimeout, ModelFailed, ModelUnavailable, ShuttingDown
from gateway.core.live.effects import (
    AudioDropped,
    Backpressure,
    Close,
    Closed,
    Errored,
    Failed,
    Final,
    Notify,
    PressureAction,
    SpeechBegan,
    SpeechEnded,
    Transcribe,
)
from gateway.core.live.session import Session
from gateway.core.live.states import TRANSITIONS, Call, State, following
from gateway.core.segmenter import SegmenterConfig
from tests.core.live.drive import CONFIG, LIMITS, SEGMENTER, SPEECH, Driver, audio_of, kinds, messages, said

UTTERANCE_MS = 8 * FRAME_MS
INTERIM = replace(CONFIG, interim_results=True, partial_interval_ms=100)


def test_speech_becomes_one_final_on_the_clients_clock() -> None:
    driver = Driver()
    effects = driver.speak(SPEECH)
    assert kinds(effects) == ["SpeechBegan", "SpeechEnded", "Transcribe"]
    assert messages(effects, SpeechBegan) == [SpeechBegan(0, 20)]
    assert messages(effects, SpeechEnded) == [SpeechEnded(0, 180, CutReason.SILENCE)]
    (asked,) = driver.asked
    assert (asked.model, asked.utterance.index, asked.utterance.start_sample) == ("base", 0, FRAME_SAMPLES)
    np.testing.assert_array_equal(asked.utterance.samples, audio_of(11)[FRAME_SAMPLES : 9 * FRAME_SAMPLES])
    assert driver.session.buffered_samples == 8 * FRAME_SAMPLES
    driver.now_s += 0.25
    (final,) = messages(driver.answer(0, said(" hello ")), Final)
    assert (final.index, final.text, final.language) == (0, "hello", "en")
    assert (final.start_ms, final.end_ms, final.reason, final.latency_ms) == (20, 180, CutReason.SILENCE, 250)
    assert [(part.start_s, round(part.end_s, 3)) for part in final.segments] == [(0.02, 0.12)]
    assert final.words is None
    assert driver.session.buffered_samples == 0


def test_close_is_answered_by_every_final_then_the_account() -> None:
    driver = Driver()
    driver.speak(SPEECH + "..####")
    effects = driver.finish()
    assert kinds(effects) == ["SpeechEnded"]
    assert not driver.wants_audio()
    assert kinds(driver.answer(0, said("one"))) == ["Final", "Transcribe"]
    effects = driver.answer(1, said("two"))
    assert kinds(effects) == ["Final", "Closed", "Close"]
    assert messages(effects, Final)[0].reason is CutReason.CLOSE
    assert messages(effects, Closed) == [Closed(17 * FRAME_MS, 2, 0, 0)]
    assert effects[-1] == Close(None)
    assert driver.session.state is State.CLOSED


def test_closing_an_empty_session_closes_at_once() -> None:
    assert kinds(Driver().finish()) == ["Closed", "Close"]


def test_a_second_finish_changes_nothing() -> None:
    driver = Driver()
    driver.speak(SPEECH)
    driver.finish()
    assert driver.session.finish(now_s=0, error=ShuttingDown("late")) == []
    assert driver.answer(0, said("one"))[-1] == Close(None)


def test_the_unfinished_frame_at_the_end_is_kept() -> None:
    driver = Driver()
    samples = audio_of(6)[:-100]
    driver.send(samples, [1.0] * 5)
    assert driver.session.received_until_ms == len(samples) // 16
    driver.finish()
    np.testing.assert_array_equal(driver.asked[0].utterance.samples, samples)


def test_finals_wait_for_one_another() -> None:
    driver = Driver()
    assert len(driver.speak(SPEECH * 3)) == 3 * 2 + 1
    assert [asked.utterance.index for asked in driver.asked] == [0]
    assert kinds(driver.answer(0, said("one"))) == ["Final", "Transcribe"]
    assert [asked.utterance.index for asked in driver.asked] == [0, 1]


def test_several_in_flight_are_told_in_order() -> None:
    driver = Driver(limits=replace(LIMITS, finals_in_flight=2))
    driver.speak(SPEECH * 3)
    assert [asked.utterance.index for asked in driver.asked] == [0, 1]
    assert driver.answer(1, said("two")) == []
    assert [final.text for final in messages(driver.answer(0, said("one")), Final)] == ["one", "two"]
    assert [asked.utterance.index for asked in driver.asked] == [0, 1, 2]


def test_with_context_only_one_is_in_flight() -> None:
    driver = Driver(replace(CONFIG, text_context=True), replace(LIMITS, finals_in_flight=2))
    driver.speak(SPEECH * 2)
    assert [asked.utterance.index for asked in driver.asked] == [0]


def test_an_answer_nobody_asked_for_is_a_bug() -> None:
    driver = Driver()
    driver.speak(SPEECH * 2)
    for index in (1, 7):
        with pytest.raises(KeyError, match=f"utterance {index}"):
            driver.answer(index, said("?"))


def test_one_failure_costs_one_utterance() -> None:
    driver = Driver()
    driver.speak(SPEECH * 2)
    error = DeadlineExceeded("late")
    assert messages(driver.fail(0, error), Failed) == [Failed(0, error)]
    assert messages(driver.answer(1, said("two")), Final)[0].index == 1
    assert driver.session.account == Closed(440, 1, 1, 0)


def test_failures_of_the_model_in_a_row_end_the_session() -> None:
    driver = Driver()
    driver.speak(SPEECH * 5 + "###")
    driver.fail(0, ModelFailed("bad"))
    driver.answer(1, said("fine"))
    driver.fail(2, ModelFailed("bad"))
    driver.fail(3, ModelUnavailable("gone"))
    effects = driver.fail(4, last := ModelUnavailable("gone"))
    assert kinds(effects) == ["Failed", "SpeechEnded", "Failed", "Errored", "Closed", "Close"]
    assert messages(effects, Failed) == [Failed(4, last), Failed(5, last)]
    assert effects[-1] == Close(last)
    assert driver.session.buffered_samples == 0
    assert len(driver.asked) == 5


def test_a_break_fails_those_behind_but_keeps_what_was_answered() -> None:
    driver = Driver(limits=replace(LIMITS, finals_in_flight=3, max_failures=1))
    driver.speak(SPEECH * 4)
    driver.answer(2, said("three"))
    effects = driver.fail(0, error := ModelFailed("bad"))
    assert kinds(effects) == ["Failed", "Failed", "Final", "Failed", "Errored", "Closed", "Close"]
    assert [failed.index for failed in messages(effects, Failed)] == [0, 1, 3]
    assert messages(effects, Errored) == [Errored(error)]
    assert driver.answer(1, said("late")) == driver.fail(3, error) == []


def test_a_break_between_audio_and_scores_counts_what_was_not_scored() -> None:
    driver = Driver(limits=replace(LIMITS, max_failures=1))
    driver.speak(SPEECH)
    driver.session.receive_audio(audio_of(3), now_s=0)
    effects = driver.fail(0, ModelFailed("bad"))
    assert messages(effects, Closed) == [Closed(14 * FRAME_MS, 0, 1, 3 * FRAME_MS)]
    assert driver.session.receive_scores([0.0] * 3) == []


def test_finalize_cuts_and_the_stream_goes_on() -> None:
    driver = Driver()
    driver.speak("..####")
    effects = driver.session.finalize(now_s=101)
    assert messages(effects, SpeechEnded)[0].reason is CutReason.FINALIZE
    assert driver.session.finalize(now_s=101) == []
    assert messages(driver.speak("####"), SpeechBegan)[0].index == 1


def test_quiet_speech_is_told_without_asking_the_model() -> None:
    driver = Driver(replace(CONFIG, quality=True, options=DecodeOptions(language="de")))
    effects = driver.send(np.zeros(11 * FRAME_SAMPLES, np.int16), [0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    assert kinds(effects) == ["SpeechBegan", "SpeechEnded", "Final"]
    (final,) = messages(effects, Final)
    assert (final.text, final.language, [each.reason for each in final.filtered]) == ("", "de", ["too_quiet"])
    assert final.quality is not None
    assert final.quality.reason_codes == ("too_quiet",)


def test_dropping_is_told_and_does_not_shift_the_clock() -> None:
    driver = Driver(replace(CONFIG, endpointing=False))
    effects = driver.send(audio_of(150), [0.0] * 150)
    dropped = messages(effects, AudioDropped)[0].dropped_ms
    assert dropped >= 1_000
    assert driver.session.account.dropped_ms == dropped
    assert driver.session.received_until_ms == 3_000
    assert driver.session.buffered_samples + dropped * 16 == 150 * FRAME_SAMPLES
    for index in range(len(messages(effects, SpeechEnded))):
        driver.answer(index, said("x"))
    assert messages(driver.speak("####"), SpeechBegan)[0].at_ms == 3_000


def test_pressure_is_told_with_hysteresis_and_stops_the_reading() -> None:
    driver = Driver()
    while driver.wants_audio():
        driver.speak("#")
    told = messages(driver.effects, Backpressure)
    assert [told.action for told in told] == [PressureAction.SLOW_DOWN, PressureAction.PAUSE]
    assert told[1].buffered_ms <= 2_000
    index = 0
    while not driver.wants_audio():
        effects = driver.answer(index, said("x"))
        index += 1
    assert messages(effects, Backpressure)[0].action is PressureAction.RESUME
    assert messages(driver.finish(), Backpressure) == []


def test_an_open_utterance_alone_never_stops_the_reading() -> None:
    longest = replace(SEGMENTER, max_utterance_ms=28_000)
    driver = Driver(replace(CONFIG, segmenter=longest), replace(LIMITS, max_pending_audio_ms=29_000))
    for _ in range(28_000 // FRAME_MS):
        driver.speak("#")
        assert driver.wants_audio()
        assert driver.session.room_samples > 0
    assert driver.effects == [Notify(SpeechBegan(0, 0))]


def test_without_room_nothing_is_read_even_if_a_new_config_took_it() -> None:
    driver = Driver()
    driver.speak(SPEECH * 8)
    assert driver.wants_audio()
    driver.session.configure(replace(CONFIG, segmenter=SegmenterConfig(max_utterance_ms=1_000)), now_s=100)
    assert driver.session.room_samples == 0
    assert not driver.wants_audio()


def test_an_utterance_that_could_not_be_held_is_refused() -> None:
    config = replace(CONFIG, segmenter=replace(SEGMENTER, max_utterance_ms=1_001))
    with pytest.raises(BadRequest) as error:
        Session(config, LIMITS, now_s=0)
    assert error.value.param == "max_utterance_ms"
    with pytest.raises(BadRequest):
        Driver().session.configure(config, now_s=0)


def test_a_stalled_client_gets_its_last_words() -> None:
    driver = Driver()
    driver.speak("..####")
    assert driver.session.tick(driver.now_s + 1.9) == []
    assert kinds(driver.session.tick(driver.now_s + 2)) == ["SpeechEnded", "Transcribe"]
    assert driver.session.tick(driver.now_s + 3) == []


@pytest.mark.parametrize(
    ("limits", "later_s", "code"),
    [(LIMITS, 60, "idle_timeout"), (replace(LIMITS, max_age_s=30), 30, "session_expired")],
)
def test_idle_and_old_sessions_are_flushed_and_end(limits: object, later_s: float, code: str) -> None:
    driver = Driver(limits=limits)  # type: ignore[arg-type]
    driver.speak("..####")
    assert kinds(driver.keep(driver.session.tick(driver.now_s + later_s))) == ["SpeechEnded", "Transcribe"]
    effects = driver.answer(0, said("one"))
    assert kinds(effects) == ["Final", "Errored", "Closed", "Close"]
    (errored,) = messages(effects, Errored)
    assert (type(errored.error), errored.error.reason) == (IdleTimeout, code)


def test_what_may_idle_ends_by_age_alone() -> None:
    driver = Driver(replace(CONFIG, may_idle=True))
    assert driver.session.tick(driver.now_s + LIMITS.max_age_s - 1) == []
    (errored,) = messages(driver.session.tick(driver.now_s + LIMITS.max_age_s), Errored)
    assert errored.error.reason == "session_expired"


def test_keepalive_keeps_alive_also_while_closing() -> None:
    driver = Driver()
    driver.speak(SPEECH)
    driver.session.keepalive(now_s=150)
    assert driver.session.tick(165) == []
    driver.finish()
    driver.session.keepalive(now_s=170)
    assert driver.session.tick(10_000) == []


def test_a_client_that_waits_for_an_answer_is_not_idle() -> None:
    driver = Driver()
    driver.speak(SPEECH)
    assert driver.session.tick(driver.now_s + 59) == []
    assert driver.session.tick(driver.now_s + 118) == []
    driver.answer(0, said("one"))
    assert driver.session.tick(driver.now_s + 177) == []
    assert kinds(driver.session.tick(driver.now_s + 178)) == ["Errored", "Closed", "Close"]


def test_a_client_that_is_not_read_from_is_not_idle() -> None:
    driver = Driver()
    while driver.wants_audio():
        driver.speak("#")
    assert driver.session.tick(driver.now_s + 1_000) == []
    for index in range(4):
        driver.answer(index, said("x"))
    assert driver.wants_audio()
    assert driver.session.tick(driver.now_s + 1_001) == []


def test_what_is_broken_off_fails_and_is_told() -> None:
    driver = Driver(INTERIM)
    driver.speak(SPEECH * 2 + "####")
    error = ShuttingDown("The service is stopping.")
    effects = driver.session.break_off(error, now_s=driver.now_s)
    assert messages(effects, Failed) == [Failed(index, error) for index in range(3)]
    assert [type(effect.message) for effect in effects if isinstance(effect, Notify)][-2:] == [Errored, Closed]
    assert (driver.session.account.failed, driver.session.buffered_samples) == (3, 0)
    assert not any(isinstance(effect, Transcribe) for effect in effects)
    driver.session.abort()


def test_abort_leaves_nothing() -> None:
    driver = Driver(INTERIM)
    driver.speak(SPEECH * 2 + "####")
    driver.session.abort()
    assert driver.session.buffered_samples == 0
    assert driver.session.account.dropped_ms == 2 * UTTERANCE_MS + 5 * FRAME_MS
    assert not driver.wants_audio()
    assert driver.session.tick(0) == []
    driver.session.abort()


def test_what_was_missed_is_told_again() -> None:
    driver = Driver(limits=replace(LIMITS, replay_finals=2))
    driver.speak(SPEECH * 3)
    driver.answer(0, said("one"))
    driver.fail(1, DeadlineExceeded("late"))
    driver.answer(2, said("three"))
    assert kinds(driver.session.missed(0)) == ["Failed", "Final"]
    assert driver.session.missed(2) == []
    for last in (None, -2, 3):
        with pytest.raises(BadRequest):
            driver.session.missed(last)


CLIENT_CALLS: list[Callable[[Session], object]] = [
    lambda session: session.receive_audio(audio_of(1), now_s=0),
    lambda session: session.finalize(now_s=0),
    lambda session: session.configure(CONFIG, now_s=0),
    lambda session: session.reset(now_s=0),
    lambda session: session.clear(now_s=0),
]


@pytest.mark.parametrize("call", CLIENT_CALLS)
def test_after_close_a_client_has_nothing_to_say(call: Callable[[Session], object]) -> None:
    driver = Driver()
    driver.speak(SPEECH)
    driver.finish()
    with pytest.raises(BadRequest, match="can't come") as error:
        call(driver.session)
    assert error.value.reason == "out_of_order"


def test_scores_without_audio_are_a_bug() -> None:
    with pytest.raises(RuntimeError, match="SCORES in state LISTENING"):
        Driver().session.receive_scores([])


def test_as_many_scores_as_frames() -> None:
    session = Driver().session
    session.receive_audio(audio_of(2), now_s=0)
    with pytest.raises(ValueError, match="640 samples are not 1 frames"):
        session.receive_scores([0.0])


def test_every_state_has_a_row_and_nothing_leaves_closed() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(TRANSITIONS[State.CLOSED].values()) == {State.CLOSED}
    assert following(State.SCORING, Call.SCORES) is State.LISTENING
