"""OpenAI's realtime server events: a session driven to its end, told as items."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audio import Filtered
from gateway.core.errors import BadRequest, DeadlineExceeded, TritoneError
from gateway.core.live.effects import (
    AudioDropped,
    Backpressure,
    Closed,
    Effect,
    Errored,
    Notify,
    Partial,
    PressureAction,
)
from gateway.core.wire.realtime_events import RealtimeEvents
from gateway.core.wire.realtime_messages import RealtimeOptions
from tests.core.live.drive import CONFIG, SPEECH, Driver, said

STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
COMMITTED, CREATED = "input_audio_buffer.committed", "conversation.item.created"
DELTA, COMPLETED, FAILED = (
    f"conversation.item.input_audio_transcription.{kind}" for kind in ("delta", "completed", "failed")
)


class Teller:
    """Collects the events of a driven session."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.wire = RealtimeEvents("s", lambda error: f"type of {error.reason}")

    def tell(self, effects: list[Effect]) -> list[dict[str, Any]]:
        return [event for effect in effects if isinstance(effect, Notify) for event in self.wire.tell(effect.message)]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


@pytest.fixture
def teller() -> Teller:
    return Teller(Driver())


@pytest.fixture
def manual() -> Teller:
    return Teller(Driver(replace(CONFIG, endpointing=False)))


def test_an_utterance_is_an_item(teller: Teller) -> None:
    events = teller.tell(teller.driver.speak(SPEECH))
    assert types(events) == [STARTED, STOPPED, COMMITTED, CREATED]
    started, stopped, committed, created = events
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (20, 180)
    assert {started["item_id"], stopped["item_id"], committed["item_id"], created["item"]["id"]} == {"item_s_1"}
    assert (committed["previous_item_id"], created["previous_item_id"]) == (None, None)
    events = teller.tell(teller.driver.answer(0, said("hello")))
    assert types(events) == [DELTA, COMPLETED]
    assert (events[0]["delta"], events[1]["transcript"]) == ("hello", "hello")
    assert events[1]["usage"] == {"type": "duration", "seconds": 0.16}
    (committed,) = [event for event in teller.tell(teller.driver.speak(SPEECH)) if event["type"] == COMMITTED]
    assert (committed["item_id"], committed["previous_item_id"]) == ("item_s_2", "item_s_1")


def test_every_event_has_an_id_of_its_own(teller: Teller) -> None:
    events = teller.tell(teller.driver.speak(SPEECH)) + teller.tell(teller.driver.answer(0, said("x")))
    assert len({event["event_id"] for event in events}) == len(events)


def test_a_failed_item_says_so(teller: Teller) -> None:
    teller.tell(teller.driver.speak(SPEECH))
    (failed,) = teller.tell(teller.driver.fail(0, DeadlineExceeded("late")))
    error = {"type": "type of deadline_exceeded", "code": "deadline_exceeded", "message": "late", "param": None}
    assert (failed["type"], failed["item_id"], failed["error"]) == (FAILED, "item_s_1", error)


def test_a_silent_item_is_completed_without_delta(teller: Teller) -> None:
    teller.tell(teller.driver.speak(SPEECH))
    assert types(teller.tell(teller.driver.answer(0, said("")))) == [COMPLETED]


def test_deltas_only_append(teller: Teller) -> None:
    teller.tell(teller.driver.speak("..####"))
    tell = teller.wire.tell
    assert tell(Partial(0, "one", "")) == []
    assert tell(Partial(0, "one two", "one"))[0]["delta"] == "one"
    assert tell(Partial(0, "one two", "one")) == []
    assert tell(Partial(0, "one two", "one two"))[0]["delta"] == " two"
    teller.tell(teller.driver.finish())
    events = teller.tell(teller.driver.answer(0, said("one two three")))
    assert [event.get("delta") for event in events] == [" three", None]


def test_a_final_that_says_something_else_completes_without_delta(teller: Teller) -> None:
    teller.tell(teller.driver.speak("..####"))
    teller.wire.tell(Partial(0, "one", "one"))
    teller.tell(teller.driver.finish())
    (completed,) = teller.tell(teller.driver.answer(0, said("won")))
    assert completed["transcript"] == "won"
    assert "filtered" not in completed


def test_what_the_client_commits_is_one_item_of_several_utterances(manual: Teller) -> None:
    assert manual.tell(manual.driver.speak("#" * 30)) == []
    assert manual.wire.tell(Partial(1, "two", "two")) == []
    assert [event["delta"] for event in manual.tell(manual.driver.answer(0, said("one")))] == ["one"]
    assert [event["delta"] for event in manual.wire.tell(Partial(1, "two", "two"))] == [" two"]
    manual.wire.check_commit()
    events = manual.tell(manual.driver.session.finalize(now_s=0)) + manual.wire.commit()
    assert types(events) == [COMMITTED, CREATED]
    events = manual.tell(manual.driver.answer(1, said("two three")))
    assert types(events) == [DELTA, COMPLETED]
    assert (events[0]["delta"], events[1]["transcript"]) == (" three", "one two three")
    assert events[1]["usage"]["seconds"] == 0.6


def test_parts_without_spaces_between_and_without_text(manual: Teller) -> None:
    manual.tell(manual.driver.speak("#" * 60))
    manual.tell(manual.driver.session.finalize(now_s=0))
    manual.wire.commit()
    for text in ("", "今天", "", "天气"):
        events = manual.tell(manual.driver.answer(manual.driver.asked[-1].utterance.index, said(text, language="zh")))
    assert events[-1]["transcript"] == "今天天气"


def test_parts_without_text_leave_no_space(manual: Teller) -> None:
    manual.tell(manual.driver.speak("#" * 60))
    manual.tell(manual.driver.session.finalize(now_s=0))
    manual.wire.commit()
    events = []
    for text, language in (("", "en"), ("今天", "zh"), ("", "en"), ("天气", "zh")):
        index = manual.driver.asked[-1].utterance.index
        events += manual.tell(manual.driver.answer(index, said(text, language=language)))
    assert events[-1]["transcript"] == "今天天气"
    assert [event["delta"] for event in events if event["type"] == DELTA] == ["今天", "天气"]


def test_one_failed_part_fails_the_item(manual: Teller) -> None:
    manual.tell(manual.driver.speak("#" * 30))
    manual.tell(manual.driver.session.finalize(now_s=0))
    manual.tell(manual.driver.fail(0, DeadlineExceeded("late")))
    assert types(manual.wire.commit()) == [COMMITTED, CREATED]
    assert types(manual.tell(manual.driver.answer(1, said("two")))) == [DELTA, FAILED]


def test_an_item_that_was_answered_before_its_commit_is_completed_by_it(manual: Teller) -> None:
    manual.tell(manual.driver.speak("######"))
    manual.tell(manual.driver.session.finalize(now_s=0))
    manual.tell(manual.driver.answer(0, said("one")))
    assert types(manual.wire.commit()) == [COMMITTED, CREATED, COMPLETED]


def test_nothing_to_commit_is_an_error_and_the_servers_cut_leaves_nothing(teller: Teller) -> None:
    for _ in range(2):
        with pytest.raises(BadRequest) as error:
            teller.wire.check_commit()
        assert error.value.reason == "input_audio_buffer_commit_empty"
        teller.tell(teller.driver.speak(SPEECH))
    assert teller.wire.commit() == []


def test_what_is_cleared_is_never_told(manual: Teller) -> None:
    manual.tell(manual.driver.speak("#" * 30))
    manual.tell(manual.driver.session.clear(now_s=0))
    assert types(manual.wire.clear()) == ["input_audio_buffer.cleared"]
    assert manual.tell(manual.driver.answer(0, said("one"))) == []
    assert manual.wire.tell(Partial(1, "x", "x")) == []
    manual.tell(manual.driver.speak("####"))
    manual.tell(manual.driver.session.finalize(now_s=0))
    assert manual.wire.commit()[0]["item_id"] == "item_s_2"
    assert types(manual.wire.clear()) == ["input_audio_buffer.cleared"]


def test_what_is_not_about_an_item(teller: Teller) -> None:
    options = RealtimeOptions(model="base")
    created, updated = teller.wire.created(options), teller.wire.updated(options)
    assert types([created, updated]) == ["session.created", "session.updated"]
    assert created["session"] == options.to_wire()
    error = teller.wire.error(BadRequest("bad", param="x"), event_id="mine")
    assert error["error"] == {
        "type": "type of bad_request",
        "code": "bad_request",
        "message": "bad",
        "param": "x",
        "event_id": "mine",
    }
    assert teller.wire.tell(Errored(TritoneError("x")))[0]["error"]["code"] == "internal_error"
    assert teller.wire.tell(AudioDropped(9))[0]["error"]["code"] == "audio_dropped"
    assert teller.wire.tell(Backpressure(PressureAction.PAUSE, 1)) == teller.wire.tell(Closed(1, 1, 1, 1)) == []


def test_what_the_model_left_out_of_an_item_is_told(teller: Teller) -> None:
    teller.tell(teller.driver.speak(SPEECH))
    events = teller.tell(teller.driver.answer(0, said("", filtered=(Filtered("no_speech", "Bye."),))))
    assert events[-1]["filtered"] == [{"reason": "no_speech", "text": "Bye."}]
