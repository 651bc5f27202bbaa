"""Brings cut utterances to the model and their outcomes to the client: each exactly once, in order."""

from dataclasses import replace

import numpy as np

from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions, Transcript, Utterance
from gateway.core.errors import ModelFailed, ModelUnavailable, TritoneError
from gateway.core.filters import is_prompt_echo, silence_reason
from gateway.core.live.context import Context
from gateway.core.live.effects import Effect, Failed, Notify, Outcome, Transcribe
from gateway.core.live.finals import final_of
from gateway.core.live.pending import Pending, Skipped, Waiting
from gateway.core.live.replay import ReplayLog
from gateway.core.live.session_config import SessionConfig, SessionLimits
from gateway.core.segmenter import UtteranceCut
from gateway.core.timeline import without_lead

# Slow speech has twice as many, in any script. After a lead the model likes to stop where its sentence ends.
MIN_CHARS_PER_S = 3


class Delivery:
    """What is on its way, what was told, and the context that the next utterance is decoded in.

    `broken_by` is the error of a model that failed too often in a row: everything fails by it from then on.
    """

    def __init__(self, limits: SessionLimits, context: Context | None = None) -> None:
        """It goes on from `context`, and teaches it."""
        self.pending = Pending()
        self.replay = ReplayLog(limits.replay_finals)
        self.finals = 0
        self.failed = 0
        self.broken_by: TritoneError | None = None
        self._finals_in_flight = limits.finals_in_flight
        self._max_failures = limits.max_failures
        self._failures = 0
        self._context = context or Context()

    def forget(self) -> None:
        """What is added from now on knows nothing of what was before, not even of what is still on its way."""
        self._context = Context()

    def options(self, config: SessionConfig) -> DecodeOptions:
        """What an utterance would be decoded with now."""
        return self._context.options(config)

    def add(self, cut: UtteranceCut, config: SessionConfig, *, now_s: float) -> list[Effect]:
        """Takes in an utterance."""
        self.pending.add(Waiting(cut.utterance, cut.reason, config, self._context, now_s))
        return self._advance(now_s)

    def take_transcript(self, index: int, transcript: Transcript, *, now_s: float) -> list[Effect]:
        """Takes an answer of the model. Raises KeyError where none is expected under `index`.

        What was heard wrongly because of what went before is decoded again without it.
        """
        waiting = self.pending.sent(index)
        if waiting.lead_samples:
            transcript = without_lead(transcript, waiting.lead_samples / SAMPLE_RATE_HZ)
        if not waiting.is_second and _is_misled(waiting, transcript):
            waiting.is_second = True
            return [_transcribe(waiting)]
        waiting.answer = transcript
        return self._advance(now_s)

    def take_failure(self, index: int, error: TritoneError, *, now_s: float) -> list[Effect]:
        """Takes a failure of the model. Raises KeyError where no answer is expected under `index`."""
        self.pending.sent(index).answer = error
        return self._advance(now_s)

    def break_off(self, error: TritoneError, *, now_s: float) -> list[Effect]:
        """Everything without an answer fails by `error`, now and from now on."""
        self.broken_by = self.broken_by or error
        return self._advance(now_s)

    def _advance(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        while True:
            effects += [Notify(self._outcome(waiting, now_s)) for waiting in self.pending.answered()]
            if self.broken_by is not None:
                return effects + self._fail_rest(self.broken_by, now_s)
            waiting = self.pending.next_to_send(self._finals_in_flight)
            if waiting is None:
                return effects
            if reason := silence_reason(waiting.utterance.samples):
                waiting.answer = Skipped(reason)
            else:
                effects.append(_transcribe(waiting))

    def _fail_rest(self, error: TritoneError, now_s: float) -> list[Effect]:
        """Ends everything that is on its way; what has its answer keeps it."""
        effects: list[Effect] = []
        for waiting in self.pending.drain():
            waiting.answer = waiting.answer or error
            effects.append(Notify(self._outcome(waiting, now_s)))
        return effects

    def _outcome(self, waiting: Waiting, now_s: float) -> Outcome:
        answer = waiting.answer
        outcome: Outcome
        if isinstance(answer, TritoneError):
            outcome = Failed(waiting.utterance.index, answer)
            self.failed += 1
            self._failures += isinstance(answer, ModelFailed | ModelUnavailable)
            if self._failures >= self._max_failures and self.broken_by is None:
                self.broken_by = answer
        else:
            assert answer is not None
            outcome = final_of(waiting, answer, now_s=now_s)
            self.finals += 1
            if isinstance(answer, Transcript):
                self._failures = 0
                waiting.context.learn(waiting.config, waiting.utterance.samples, answer, outcome.text)
        self.replay.add(outcome)
        return outcome


def _is_misled(waiting: Waiting, transcript: Transcript) -> bool:
    """Whether the prompt was read aloud, or little but the lead was heard. Either may be right."""
    prompt = waiting.options.prompt if waiting.options else None
    if prompt and is_prompt_echo(transcript.text, prompt):
        return True
    fewest_chars = MIN_CHARS_PER_S * waiting.utterance.duration_s
    return waiting.lead_samples > 0 and len(transcript.text) < fewest_chars


def _transcribe(waiting: Waiting) -> Transcribe:
    config, utterance = waiting.config, waiting.utterance
    options = waiting.context.options(config)
    lead = waiting.context.lead(config)
    if waiting.is_second:
        options, lead = replace(options, prompt=None), lead[:0]
    waiting.lead_samples = len(lead)
    if config.audio_context_ms:
        # Only by the times of the words can the lead be taken out again, of this text or of the next prompt.
        options = replace(options, word_timestamps=True)
    if len(lead):
        start_sample = utterance.start_sample - len(lead)
        utterance = Utterance(utterance.index, start_sample, np.concatenate((lead, utterance.samples)))
    waiting.options = options
    return Transcribe(utterance, options, config.model)
