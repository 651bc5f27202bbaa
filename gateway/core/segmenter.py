"""Cuts a stream of scored audio into utterances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gateway.core.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, CutReason, Samples, Utterance, samples_of_ms

QUIET_SEARCH_MS = 3_000
QUIET_WINDOW_MS = 200
QUIET_STEP_MS = 10
SLACK_FRAMES = 50


@dataclass(frozen=True, slots=True)
class SegmenterConfig:
    """When speech starts and ends. Scores are 0..1, durations milliseconds.

    Speech starts after `min_speech_ms` of frames that score `start_score` at first and at least `stop_score` from then
    on; it ends after `silence_ms` of frames below `stop_score`. An utterance has `pre_roll_ms` before and
    `post_roll_ms` after its speech, and is never longer than `max_utterance_ms`.
    """

    start_score: float = 0.5
    stop_score: float = 0.25
    min_speech_ms: int = 60
    silence_ms: int = 500
    pre_roll_ms: int = 300
    post_roll_ms: int = 300
    max_utterance_ms: int = 28_000

    def __post_init__(self) -> None:
        """Raises ValueError, which names the field."""
        if not 0 < self.stop_score <= self.start_score <= 1:
            raise ValueError("start_score and stop_score: 0 < stop_score <= start_score <= 1")
        if min(self.min_speech_ms, self.pre_roll_ms, self.post_roll_ms) < 0:
            raise ValueError("min_speech_ms, pre_roll_ms and post_roll_ms can't be negative")
        if self.silence_ms < max(self.post_roll_ms, FRAME_MS):
            raise ValueError(f"silence_ms: at least post_roll_ms and {FRAME_MS}")
        if self.max_utterance_ms < 2 * max(self.pre_roll_ms + self.min_speech_ms + FRAME_MS, self.silence_ms):
            raise ValueError(
                f"max_utterance_ms: at least twice silence_ms, and twice pre_roll_ms + min_speech_ms + {FRAME_MS}"
            )


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance is open; `at_sample` is its first sample. It comes exactly once, before its UtteranceCut."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class UtteranceCut:
    """A finished utterance."""

    utterance: Utterance
    reason: CutReason


Event: TypeAlias = SpeechStarted | UtteranceCut


class Segmenter:
    """A state machine over 20 ms frames; the same frames and scores give the same events, however they are pushed.

    Every position is an absolute sample index. The buffer holds the open utterance: `max_utterance_ms` and a second of
    slack; in silence, only the pre-roll of the next one and the slack.
    """

    def __init__(self, config: SegmenterConfig) -> None:
        self._buffer_start = 0
        self._received = 0
        self._position = 0
        self._index = 0
        self._speaking = False
        self._onset: int | None = None
        self._start = 0
        self._speech_end = 0
        self._cut_end = 0
        self.configure(config)
        self._buffer: Samples = np.empty(self._silent_samples, np.int16)

    def configure(self, config: SegmenterConfig) -> None:
        """Cuts by `config` from now on. Nothing may be open; what may be the beginning of speech is kept."""
        self._start_score = config.start_score
        self._stop_score = config.stop_score
        self._min_speech = samples_of_ms(config.min_speech_ms)
        self._silence = samples_of_ms(config.silence_ms)
        self._pre_roll = samples_of_ms(config.pre_roll_ms)
        self._post_roll = samples_of_ms(config.post_roll_ms)
        self._max_utterance = samples_of_ms(config.max_utterance_ms)
        slack = (SLACK_FRAMES + 1) * FRAME_SAMPLES
        self._silent_samples = self._pre_roll + self._min_speech + slack
        self._longest_samples = self._max_utterance + slack
        self._speaking = False
        # A longer pre-roll than before can't go back to what was not kept for it.
        self._cut_end = max(self._cut_end, self._buffer_start)

    @property
    def received_samples(self) -> int:
        """How much was pushed so far: the clock of the stream."""
        return self._received

    @property
    def open_samples(self) -> int:
        """Length of the open utterance; 0 where none is open."""
        return self._position - self._start if self._has_speech else 0

    def open_utterance(self) -> Utterance | None:
        """A copy of the open utterance so far, for interim results; its index is the one it will be cut with."""
        return self._utterance(self._position) if self._has_speech else None

    def push(self, frames: Samples, scores: Sequence[float]) -> list[Event]:
        """Takes one score for each FRAME_SAMPLES of `frames`, shape (n,).

        The last frame may be shorter: so the end of a stream is not lost. Raises ValueError where the numbers differ.
        """
        if len(scores) != -(-len(frames) // FRAME_SAMPLES):
            raise ValueError(f"{len(frames)} samples are not {len(scores)} frames")
        events: list[Event] = []
        for first in range(0, len(scores), SLACK_FRAMES):
            last = first + SLACK_FRAMES
            self._append(frames[first * FRAME_SAMPLES : last * FRAME_SAMPLES])
            for score in scores[first:last]:
                end = min(self._position + FRAME_SAMPLES, self._received)
                if self._speaking:
                    self._follow(score, end, events)
                else:
                    self._listen(score, end, events)
                self._position = end
        return events

    def finish(self, reason: CutReason = CutReason.CLOSE) -> list[Event]:
        """Cuts what is open. The stream may go on afterwards, on the same clock."""
        events: list[Event] = []
        self._cut_at_silence(self._position, reason, events)
        self._onset = None
        return events

    @property
    def _has_speech(self) -> bool:
        """False also for an utterance that has had only silence since the cut for length which began it."""
        return self._speaking and self._speech_end > self._start

    def _listen(self, score: float, end: int, events: list[Event]) -> None:
        if score < (self._start_score if self._onset is None else self._stop_score):
            self._onset = None
            return
        if self._onset is None:
            self._onset = self._position
        if end - self._onset >= self._min_speech:
            self._speaking = True
            self._start = max(self._cut_end, self._onset - self._pre_roll)
            self._speech_end = end
            self._onset = None
            events.append(SpeechStarted(self._start))

    def _follow(self, score: float, end: int, events: list[Event]) -> None:
        if score >= self._stop_score:
            if not self._has_speech:
                events.append(SpeechStarted(self._start))
            self._speech_end = end
        elif end - self._speech_end >= self._silence:
            self._cut_at_silence(end, CutReason.SILENCE, events)
            return
        if end - self._start > self._max_utterance:
            self._cut_at_limit(events)

    def _cut_at_silence(self, end: int, reason: CutReason, events: list[Event]) -> None:
        if self._has_speech:
            self._cut(min(end, self._speech_end + self._post_roll, self._start + self._max_utterance), reason, events)
        self._speaking = False

    def _cut_at_limit(self, events: list[Event]) -> None:
        """Cuts at the quietest point before the limit and goes on speaking: what follows needs no new start."""
        limit = self._start + self._max_utterance
        search_start = limit - min(samples_of_ms(QUIET_SEARCH_MS), self._max_utterance // 2)
        searched = self._buffer[search_start - self._buffer_start : limit - self._buffer_start]
        self._cut(search_start + quietest_sample(searched), CutReason.MAX_LENGTH, events)
        self._start = self._cut_end
        if self._has_speech:
            events.append(SpeechStarted(self._start))

    def _cut(self, end: int, reason: CutReason, events: list[Event]) -> None:
        events.append(UtteranceCut(self._utterance(end), reason))
        self._index += 1
        self._cut_end = end

    def _utterance(self, end: int) -> Utterance:
        samples = self._buffer[self._start - self._buffer_start : end - self._buffer_start].copy()
        return Utterance(self._index, self._start, samples)

    def _append(self, samples: Samples) -> None:
        used = self._received - self._buffer_start
        if used + len(samples) > len(self._buffer):
            speech_start = self._position if self._onset is None else self._onset
            keep_from = self._start if self._speaking else max(self._cut_end, speech_start - self._pre_roll)
            kept = self._buffer[keep_from - self._buffer_start : used]
            needed = len(kept) + len(samples)
            size = self._silent_samples if needed <= self._silent_samples else self._longest_samples
            if size != len(self._buffer):
                self._buffer = np.empty(size, np.int16)
            self._buffer[: len(kept)] = kept
            self._buffer_start = keep_from
            used = len(kept)
        self._buffer[used : used + len(samples)] = samples
        self._received += len(samples)


def quietest_sample(samples: Samples) -> int:
    """The middle of the quietest QUIET_WINDOW_MS, the last one where several are equal; shape (n,), n at least a step.

    Energies are summed as integers, so equal ones are exactly equal.
    """
    step = SAMPLE_RATE_HZ * QUIET_STEP_MS // 1000
    steps = len(samples) // step
    energy = np.square(samples[: steps * step].astype(np.int64)).reshape(steps, step).sum(axis=1)
    window = min(QUIET_WINDOW_MS // QUIET_STEP_MS, steps)
    total = np.concatenate(([0], np.cumsum(energy)))
    smoothed = total[window:] - total[:-window]
    last = len(smoothed) - 1 - int(np.argmin(smoothed[::-1]))
    return last * step + window * step // 2
