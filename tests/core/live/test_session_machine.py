"""Whatever comes in whatever order: each utterance ends once, in order, within the limits, and nothing is left."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.audio import FRAME_SAMPLES, Utterance
from gateway.core.errors import DeadlineExceeded, ModelFailed
from gateway.core.live.effects import (
    AudioDropped,
    Backpressure,
    CancelPartial,
    Close,
    Closed,
    Effect,
    Failed,
    Final,
    Notify,
    Partial,
    PressureAction,
    SpeechBegan,
    SpeechEnded,
    Transcribe,
    TranscribePartial,
)
from gateway.core.live.session import Session
from gateway.core.live.session_config import SessionConfig, SessionLimits
from gateway.core.live.states import State
from tests.core.live.drive import CONFIG, LIMITS, SCORES, SEGMENTER, audio_of, said

INTERIM = replace(CONFIG, interim_results=True, partial_interval_ms=100)
CONFIGS = [
    INTERIM,
    CONFIG,
    replace(INTERIM, endpointing=False),
    replace(INTERIM, text_context=True, audio_context_ms=60, quality=True),
    replace(INTERIM, model="small", segmenter=replace(SEGMENTER, pre_roll_ms=100, silence_ms=120)),
]
notations = st.lists(st.tuples(st.sampled_from(".-#"), st.integers(1, 30)), max_size=12).map(
    lambda runs: "".join(sign * length for sign, length in runs)
)
texts = st.lists(st.sampled_from(["hello", "Hello,", "big", "world.", "thanks"]), max_size=5).map(" ".join)


class Machine(RuleBasedStateMachine):
    """The shell's part, played at random."""

    @initialize(config=st.sampled_from(CONFIGS), in_flight=st.integers(1, 3), failures=st.integers(2, 4))
    def open(self, config: SessionConfig, in_flight: int, failures: int) -> None:
        self.limits = replace(LIMITS, finals_in_flight=in_flight, max_failures=failures, max_idle_s=20.0)
        self.session = Session(config, self.limits, now_s=0)
        self.now_s = 0.0
        self.sent_samples = 0
        self.in_model: dict[int, Utterance] = {}
        self.partial: int | None = None
        self.stable: dict[int, str] = {}
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.outcomes: list[int] = []
        self.pressure = PressureAction.RESUME
        self.dropped_ms = 0
        self.closed: Closed | None = None

    def perform(self, effects: list[Effect]) -> None:
        for at, effect in enumerate(effects):
            if isinstance(effect, Close):
                assert at == len(effects) - 1
                assert self.closed is not None
            elif isinstance(effect, Notify):
                self.hear(effect)
            else:
                self.work(effect)

    def work(self, effect: Effect) -> None:
        if isinstance(effect, Transcribe):
            index = effect.utterance.index
            assert index in self.ended
            assert index not in self.in_model
            assert 0 < len(effect.utterance.samples) <= (SEGMENTER.max_utterance_ms + 60) * 16
            self.in_model[index] = effect.utterance
            assert len(self.in_model) <= self.limits.finals_in_flight
        elif isinstance(effect, TranscribePartial):
            assert self.partial is None
            self.partial = effect.utterance.index
            assert self.partial not in self.ended
        else:
            assert effect == CancelPartial(self.partial)  # type: ignore[arg-type]
            self.partial = None

    def hear(self, effect: Notify) -> None:
        message = effect.message
        assert self.closed is None
        if isinstance(message, SpeechBegan):
            self.stable.pop(message.index, None)
            self.begun.append(message.index)
        elif isinstance(message, SpeechEnded):
            assert message.index == len(self.ended)
            assert message.index in self.begun
            self.ended.append(message.index)
        elif isinstance(message, Final | Failed):
            assert message.index == len(self.outcomes)
            self.outcomes.append(message.index)
            self.in_model.pop(message.index, None)
        else:
            self.hear_rest(message)

    def hear_rest(self, message: object) -> None:
        if isinstance(message, Partial):
            assert message.index not in self.ended
            assert message.text.startswith(message.stable_text)
            assert message.stable_text.startswith(self.stable.get(message.index, ""))
            self.stable[message.index] = message.stable_text
        elif isinstance(message, Backpressure):
            assert message.action is not self.pressure
            assert self.pressure is not PressureAction.PAUSE or message.action is PressureAction.RESUME
            self.pressure = message.action
        elif isinstance(message, AudioDropped):
            self.dropped_ms += message.dropped_ms
        elif isinstance(message, Closed):
            self.closed = message

    @property
    def open_state(self) -> bool:
        return self.session.state is State.LISTENING

    @precondition(lambda self: self.open_state)
    @rule(notation=notations, extra=st.integers(0, FRAME_SAMPLES - 1), rude=st.booleans(), between=st.booleans())
    def send(self, notation: str, extra: int, rude: bool, between: bool) -> None:
        samples = audio_of(len(notation) + 1, self.sent_samples)[: len(notation) * FRAME_SAMPLES + extra]
        if not rude:
            samples = samples[: self.session.room_samples if self.session.wants_audio else 0]
        self.sent_samples += len(samples)
        frames = self.session.receive_audio(samples, now_s=self.now_s)
        if between and self.in_model:
            self.answer("between")
        scores = [SCORES[sign] for sign in (notation + "." * 2)[: len(frames) // FRAME_SAMPLES]]
        self.perform(self.session.receive_scores(scores))

    @precondition(lambda self: self.in_model)
    @rule(text=texts)
    def answer(self, text: str) -> None:
        index = max(self.in_model)
        del self.in_model[index]
        self.perform(self.session.receive_transcript(index, said(text), now_s=self.now_s))

    @precondition(lambda self: self.in_model)
    @rule(model=st.booleans())
    def fail(self, model: bool) -> None:
        index = min(self.in_model)
        del self.in_model[index]
        error = ModelFailed("bad") if model else DeadlineExceeded("late")
        self.perform(self.session.receive_failure(index, error, now_s=self.now_s))

    @precondition(lambda self: self.partial is not None)
    @rule(text=texts, skip=st.booleans())
    def answer_partial(self, text: str, skip: bool) -> None:
        assert self.partial is not None
        index, self.partial = self.partial, None
        if skip:
            self.session.skip_partial(index)
        else:
            self.perform(self.session.receive_partial(index, said(text)))

    @precondition(lambda self: self.open_state)
    @rule()
    def finalize(self) -> None:
        self.perform(self.session.finalize(now_s=self.now_s))

    @precondition(lambda self: self.open_state)
    @rule()
    def clear(self) -> None:
        self.perform(self.session.clear(now_s=self.now_s))

    @precondition(lambda self: self.open_state)
    @rule(config=st.sampled_from(CONFIGS), reset=st.booleans())
    def configure(self, config: SessionConfig, reset: bool) -> None:
        self.session.configure(config, now_s=self.now_s)
        if reset:
            self.session.reset(now_s=self.now_s)

    @rule(pause_s=st.floats(0, 5))
    def tick(self, pause_s: float) -> None:
        self.now_s += pause_s
        self.perform(self.session.tick(self.now_s))

    @precondition(lambda self: self.session.state in (State.LISTENING, State.CLOSING))
    @rule()
    def finish(self) -> None:
        self.perform(self.session.finish(now_s=self.now_s))

    @invariant()
    def it_holds_no_more_than_the_limit(self) -> None:
        if hasattr(self, "session"):
            assert self.session.buffered_samples <= self.limits.max_pending_samples
            assert self.session.account.dropped_ms >= self.dropped_ms
            assert not (self.session.wants_audio and not self.session.room_samples)

    @invariant()
    def after_close_nothing_is_left(self) -> None:
        if hasattr(self, "session") and self.session.state is State.CLOSED:
            assert self.closed == self.session.account
            assert self.session.buffered_samples == 0
            assert not self.in_model
            assert self.outcomes == self.ended
            assert (self.partial, self.session.wants_audio) == (None, False)

    def teardown(self) -> None:
        if hasattr(self, "session"):
            if self.session.state is State.LISTENING:
                self.perform(self.session.finish(now_s=self.now_s))
            while self.in_model:
                self.answer("")
            assert self.session.state is State.CLOSED
            self.after_close_nothing_is_left()


TestSession = Machine.TestCase
TestSession.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def comparable(effect: Effect) -> object:
    """Utterances compare by identity; here, by what they hold."""
    if isinstance(effect, Transcribe | TranscribePartial):
        samples = effect.utterance.samples
        return type(effect), effect.utterance.index, effect.utterance.start_sample, samples.tobytes(), effect.options
    return effect


@settings(max_examples=60, deadline=None)
@given(notations, st.lists(st.integers(0, 3_000), max_size=20), st.sampled_from(CONFIGS), st.booleans())
def test_any_division_of_the_audio_gives_the_same_effects(
    notation: str, pieces: list[int], config: SessionConfig, finalizes: bool
) -> None:
    limits = SessionLimits(max_pending_audio_ms=20_000)
    samples = audio_of(len(notation))

    def run(ends: list[int]) -> list[object]:
        session = Session(config, limits, now_s=0)
        effects: list[Effect] = []
        scored = 0
        for piece in np.split(samples, ends):
            frames = session.receive_audio(piece, now_s=0)
            until = scored + len(frames) // FRAME_SAMPLES
            effects += session.receive_scores([SCORES[sign] for sign in notation[scored:until]])
            scored = until
        if finalizes:
            effects += session.finalize(now_s=0)
        return [comparable(effect) for effect in effects + session.finish(now_s=0)]

    ends = np.minimum(np.cumsum(pieces, dtype=int), len(samples)).tolist()
    assert run(ends) == run([])
