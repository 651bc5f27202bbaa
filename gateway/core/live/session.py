"""One live session without I/O: audio, scores and answers go in, effects come out, for the shell to perform."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.audio import CutReason, Samples, Transcript, samples_of_ms
from gateway.core.errors import IdleTimeout, TritoneError
from gateway.core.filters import silence_reason
from gateway.core.live.delivery import Delivery
from gateway.core.live.effects import (
    AudioDropped,
    Backpressure,
    Close,
    Closed,
    Effect,
    Errored,
    Notify,
    SpeechBegan,
    SpeechEnded,
    TranscribePartial,
)
from gateway.core.live.intake import Intake, ms_of_samples
from gateway.core.live.interim import Interim, quick
from gateway.core.live.pressure import Pressure
from gateway.core.live.session_config import SessionConfig, SessionLimits
from gateway.core.live.states import Call, State, following
from gateway.core.segmenter import UtteranceCut


class Session:
    """What may come when stands in `states.TRANSITIONS`. `now_s` is any clock that does not go back, always the same.

    The shell has the frames that `receive_audio` returns scored and gives the scores to `receive_scores` before
    anything else of the client. It gives `receive_audio` no more than `room_samples`, and nothing while `wants_audio`
    is False. Every Transcribe is answered once; `tick` comes about once a second. A client's call out of order raises
    BadRequest, the shell's own RuntimeError. The effects are the same however the audio is divided.
    """

    def __init__(self, config: SessionConfig, limits: SessionLimits, *, now_s: float) -> None:
        self.state = State.LISTENING
        self.dropped_samples = 0
        self._limits = limits
        self._config = limits.checked(config)
        self._next_config: SessionConfig | None = None
        self._intake = Intake(config.segmenter, endpointing=config.endpointing)
        self._delivery = Delivery(limits)
        self._pressure = Pressure(limits.max_pending_samples)
        self._interim = Interim()
        self._opened_at_s = self._active_at_s = self._audio_at_s = now_s
        self._overrun_samples = 0
        self._error: TritoneError | None = None

    @property
    def config(self) -> SessionConfig:
        """What the next utterance will be treated by."""
        return self._next_config or self._config

    @property
    def wants_audio(self) -> bool:
        """False: stop reading, so that TCP slows the client down."""
        listens = self.state in (State.LISTENING, State.SCORING)
        return listens and not self._pressure.paused and self.room_samples > 0

    @property
    def buffered_samples(self) -> int:
        """The audio that is held: the open utterance, those without an answer, and what has no score yet."""
        return self._delivery.pending.samples + self._intake.open_samples + self._intake.unscored_samples

    @property
    def room_samples(self) -> int:
        """How much `receive_audio` can take."""
        return max(0, self._limits.max_pending_samples - self._held_samples - self._intake.unscored_samples)

    @property
    def received_until_ms(self) -> int:
        """The client's clock: where a client that comes back has to send from."""
        return ms_of_samples(self._intake.received_samples)

    @property
    def account(self) -> Closed:
        """How much came in and went out so far."""
        delivery, dropped_ms = self._delivery, ms_of_samples(self.dropped_samples)
        return Closed(self.received_until_ms, delivery.finals, delivery.failed, dropped_ms)

    def missed(self, last_utterance: int | None) -> list[Effect]:
        """The finals and failures after `last_utterance`, for a client that came back. Raises BadRequest."""
        return [Notify(outcome) for outcome in self._delivery.replay.missed(last_utterance)]

    def receive_audio(self, samples: Samples, *, now_s: float) -> Samples:
        """Takes int16 samples, shape (n,), at SAMPLE_RATE_HZ; returns the whole frames that wait for scores.

        What is more than `room_samples` will be dropped, and the client told.
        """
        self._enter(Call.AUDIO)
        self._active_at_s = self._audio_at_s = now_s
        room = self.room_samples
        self._overrun_samples = max(0, len(samples) - room)
        return self._intake.push(samples[:room])

    def receive_scores(self, scores: Sequence[float]) -> list[Effect]:
        """Takes one score for each frame that `receive_audio` returned. Raises ValueError where the numbers differ."""
        self._enter(Call.SCORES)
        if self.state is State.CLOSED:
            return []
        effects: list[Effect] = []
        for events in self._intake.score(scores):
            effects += self._hear(events, self._audio_at_s)
        if self._overrun_samples:
            effects += self._hear(self._intake.cut(CutReason.MAX_LENGTH), self._audio_at_s)
            lost = self._intake.skip(self._overrun_samples)
            self.dropped_samples += lost
            effects.append(Notify(AudioDropped(ms_of_samples(lost))))
        return effects

    def receive_transcript(self, index: int, transcript: Transcript, *, now_s: float) -> list[Effect]:
        """Takes the answer to a Transcribe. Raises KeyError where none is expected under `index`."""
        self._enter(Call.ANSWER)
        if self.state is State.CLOSED:
            return []
        return self._delivery.take_transcript(index, transcript, now_s=now_s) + self._after_answer(now_s)

    def receive_failure(self, index: int, error: TritoneError, *, now_s: float) -> list[Effect]:
        """Takes the failure of a Transcribe; KeyError as above. Several in a row end the session."""
        self._enter(Call.ANSWER)
        if self.state is State.CLOSED:
            return []
        return self._delivery.take_failure(index, error, now_s=now_s) + self._after_answer(now_s)

    def receive_partial(self, index: int, transcript: Transcript) -> list[Effect]:
        """Takes the answer to a TranscribePartial; nothing is told of one that was cancelled or left its text out."""
        if transcript.filtered:
            self.skip_partial(index)
            return []
        self._enter(Call.ANSWER)
        return [Notify(self._interim.answered(index, transcript.text))] if self._interim.awaits(index) else []

    def skip_partial(self, index: int) -> None:
        """There was no capacity for a TranscribePartial, or it failed: nobody needs to know."""
        self._enter(Call.ANSWER)
        if self._interim.awaits(index):
            self._interim.skipped()

    def finalize(self, *, now_s: float) -> list[Effect]:
        """Cuts now; nothing happens where no utterance is open."""
        self._command(now_s)
        return self._hear(self._intake.cut(CutReason.FINALIZE), now_s)

    def configure(self, config: SessionConfig, *, now_s: float) -> None:
        """Takes a new config, at once or when no utterance is open any more. Raises BadRequest."""
        self._command(now_s)
        self._next_config = self._limits.checked(config)
        if config.endpointing:
            # What is open now would be without an end otherwise.
            self._intake.endpointing = True
            self._config = replace(self._config, endpointing=True)
        self._apply_config()

    def reset(self, *, now_s: float) -> None:
        """Forgets the context: the next utterance is like the first."""
        self._command(now_s)
        self._delivery.forget()

    def clear(self, *, now_s: float) -> list[Effect]:
        """Throws the open utterance away, unheard; the next one gets its index."""
        self._command(now_s)
        self.dropped_samples += self._intake.skip()
        self._apply_config()
        return self._cancelled_partial()

    def keepalive(self, *, now_s: float) -> None:
        """The client is still there."""
        self._enter(Call.KEEPALIVE)
        self._active_at_s = now_s

    def tick(self, now_s: float) -> list[Effect]:
        """Looks at the time: cuts what has stalled, ends what is idle or old."""
        self._enter(Call.TICK)
        if self.state is not State.LISTENING:
            return []
        if now_s - self._opened_at_s >= self._limits.max_age_s:
            error = IdleTimeout("The session has reached its greatest age.", code="session_expired")
            return self.finish(now_s=now_s, error=error)
        if not self.wants_audio:
            # A client that is not read from can't be blamed for its silence.
            self._active_at_s = self._audio_at_s = now_s
            return []
        if len(self._delivery.pending):
            # Nor can one that waits for what we owe it.
            self._active_at_s = now_s
        if not self._config.may_idle and now_s - self._active_at_s >= self._limits.max_idle_s:
            return self.finish(now_s=now_s, error=IdleTimeout("Nothing was received for too long."))
        if self._config.endpointing and now_s - self._audio_at_s >= self._limits.stall_s:
            return self._hear(self._intake.cut(CutReason.SILENCE), now_s)
        return []

    def finish(self, *, now_s: float, error: TritoneError | None = None) -> list[Effect]:
        """No more audio: what is open is cut, every answer is told, then comes Close, with the first `error` given."""
        already = self.state is State.CLOSING
        self._enter(Call.FINISH)
        if already:
            return []
        self._error = error
        return self._hear(self._intake.finish(), now_s) + self._close_if_done()

    def break_off(self, error: TritoneError, *, now_s: float) -> list[Effect]:
        """Ends at once: what has no answer fails by `error`, and it is told with the account."""
        self._error = error
        effects = self._delivery.break_off(error, now_s=now_s) + self._hear(self._intake.finish(), now_s)
        return effects + self._close()

    def abort(self) -> None:
        """Nobody is left to tell: what is on its way is thrown away and counted."""
        self._enter(Call.END)
        self.dropped_samples += self._intake.skip()
        self.dropped_samples += sum(len(waiting.utterance.samples) for waiting in self._delivery.pending.drain())
        self._interim.end()

    @property
    def _held_samples(self) -> int:
        return self._delivery.pending.samples + self._intake.held_samples

    def _enter(self, call: Call) -> None:
        self.state = following(self.state, call)

    def _command(self, now_s: float) -> None:
        self._enter(Call.COMMAND)
        self._active_at_s = self._audio_at_s = now_s

    def _hear(self, events: list[SpeechBegan | UtteranceCut], now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        for event in events:
            if isinstance(event, SpeechBegan):
                effects.append(Notify(event))
                continue
            effects += self._cancelled_partial()
            utterance = event.utterance
            end_ms = ms_of_samples(utterance.start_sample + len(utterance.samples))
            effects.append(Notify(SpeechEnded(utterance.index, end_ms, event.reason, self._config.endpointing)))
            effects += self._delivery.add(event, self._config, now_s=now_s)
            self._apply_config(after_cut=True)
        return effects + self._pressed() + self._due_partial()

    def _cancelled_partial(self) -> list[Effect]:
        cancelled = self._interim.end()
        return [cancelled] if cancelled else []

    def _due_partial(self) -> list[Effect]:
        config, open_samples = self._config, self._intake.open_samples
        if (
            not config.interim_results
            or not self._interim.due(open_samples, samples_of_ms(config.partial_interval_ms))
            or self._delivery.pending.unsent
        ):
            return []
        utterance = self._intake.open_utterance()
        assert utterance is not None
        self._interim.sent(utterance.index, open_samples)
        if silence_reason(utterance.samples):
            # As a final it would not be sent: no text should be told that its final does not have.
            self._interim.skipped()
            return []
        return [TranscribePartial(utterance, quick(self._delivery.options(config)), config.model)]

    def _pressed(self) -> list[Effect]:
        action = self._pressure.update(self._held_samples, waits_for_model=bool(self._delivery.pending))
        buffered_ms = ms_of_samples(self._delivery.pending.samples + self._intake.open_samples)
        ends = self.state is State.CLOSING or self._delivery.broken_by is not None
        return [Notify(Backpressure(action, buffered_ms))] if action and not ends else []

    def _apply_config(self, *, after_cut: bool = False) -> None:
        config = self._next_config
        if config is None:
            return
        if not self._intake.open_samples:
            self._intake.configure(config.segmenter, endpointing=config.endpointing)
            self._next_config = None
        elif after_cut:
            # Speech goes on without a pause: it is the next utterance, and cut as the one before until there is one.
            config = replace(config, segmenter=self._config.segmenter, endpointing=self._config.endpointing)
        else:
            return
        if config.heard_as != self._config.heard_as:
            self._delivery.forget()
        self._config = config

    def _after_answer(self, now_s: float) -> list[Effect]:
        if self._delivery.broken_by is not None:
            self._error = self._delivery.broken_by
            return self._hear(self._intake.finish(), now_s) + self._close()
        return self._close_if_done() if self.state is State.CLOSING else self._pressed()

    def _close_if_done(self) -> list[Effect]:
        return [] if self._delivery.pending else self._close()

    def _close(self) -> list[Effect]:
        self.dropped_samples += self._intake.skip()
        told: list[Effect] = [Notify(Errored(self._error))] if self._error else []
        told += [Notify(self.account), Close(self._error)]
        self._enter(Call.END)
        return told
