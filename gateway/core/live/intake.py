"""Turns what a client sends into numbered utterances on its own clock, whatever is skipped or set anew in between."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gateway.core.audio import (
    FRAME_MS,
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    CutReason,
    Samples,
    Utterance,
    samples_of_ms,
)
from gateway.core.framing import Framer
from gateway.core.live.effects import SpeechBegan
from gateway.core.segmenter import QUIET_SEARCH_MS, Event, Segmenter, SegmenterConfig, SpeechStarted, UtteranceCut

_NOTHING: Samples = np.empty(0, np.int16)
_NOTHING.setflags(write=False)


class Intake:
    """Frames, segmenter and clock of one session. There is no segmenter, and so no buffer, until there is audio.

    Without `endpointing` every frame counts as speech.
    """

    def __init__(self, config: SegmenterConfig, *, endpointing: bool) -> None:
        self._config = config
        self.endpointing = endpointing
        self._framer = Framer()
        self._segmenter: Segmenter | None = None
        self._origin = 0
        self._frames = _NOTHING
        self._last_score = 0.0
        self._next_index = 0
        self.received_samples = 0

    @property
    def open_samples(self) -> int:
        """Length of the open utterance; 0 where none is open."""
        return self._segmenter.open_samples if self._segmenter else 0

    @property
    def held_samples(self) -> int:
        """What the open utterance holds, or may hold as soon as it opens: then it takes in audio from before."""
        before_ms = max(
            self._config.pre_roll_ms + self._config.min_speech_ms + FRAME_MS,
            min(QUIET_SEARCH_MS, self._config.max_utterance_ms // 2) + self._config.silence_ms,
        )
        return self.open_samples or samples_of_ms(before_ms)

    @property
    def unscored_samples(self) -> int:
        """What was received and has no score yet."""
        return self.received_samples - self._position

    def open_utterance(self) -> Utterance | None:
        """A copy of the open utterance so far, with the index it will be cut with."""
        utterance = self._segmenter.open_utterance() if self._segmenter else None
        return utterance and self._on_clock(utterance)

    def push(self, samples: Samples) -> Samples:
        """Takes samples, shape (n,); returns the whole frames, which wait for their scores."""
        self.received_samples += len(samples)
        self._frames = self._framer.push(samples)
        return self._frames

    def score(self, scores: Sequence[float]) -> Iterator[list[SpeechBegan | UtteranceCut]]:
        """What each of the waiting frames brings, one at a time. Raises ValueError where the numbers differ."""
        frames, self._frames = self._frames, _NOTHING
        if len(scores) * FRAME_SAMPLES != len(frames):
            raise ValueError(f"{len(frames)} samples are not {len(scores)} frames")
        for at, score in enumerate(scores):
            self._last_score = score
            yield self._frame(frames[at * FRAME_SAMPLES : (at + 1) * FRAME_SAMPLES])

    def cut(self, reason: CutReason) -> list[SpeechBegan | UtteranceCut]:
        """Cuts what is open; the stream goes on."""
        return self._numbered(self._segmenter.finish(reason)) if self._segmenter else []

    def finish(self) -> list[SpeechBegan | UtteranceCut]:
        """Cuts what is open at the end of the stream; the unfinished frame counts as the one before it."""
        rest = self._framer.finish()
        return (self._frame(rest) if len(rest) else []) + self.cut(CutReason.CLOSE)

    def skip(self, samples: int = 0) -> int:
        """Throws away what is open and what has no score, and jumps over `samples` that never came in.

        Returns how many samples that is in all.
        """
        lost = self.open_samples + self.unscored_samples + samples
        self.received_samples += samples
        self._framer, self._frames, self._segmenter = Framer(), _NOTHING, None
        self._origin = self.received_samples
        return lost

    def configure(self, config: SegmenterConfig, *, endpointing: bool) -> None:
        """From here on cuts by `config`. Nothing may be open."""
        if self._segmenter and (config, endpointing) != (self._config, self.endpointing):
            self._segmenter.configure(config)
        self._config, self.endpointing = config, endpointing

    @property
    def _position(self) -> int:
        return self._origin + (self._segmenter.received_samples if self._segmenter else 0)

    def _frame(self, frame: Samples) -> list[SpeechBegan | UtteranceCut]:
        if self._segmenter is None:
            self._segmenter = Segmenter(self._config)
        events = self._segmenter.push(frame, (self._last_score if self.endpointing else 1.0,))
        return self._numbered(events) if events else []

    def _numbered(self, events: list[Event]) -> list[SpeechBegan | UtteranceCut]:
        numbered: list[SpeechBegan | UtteranceCut] = []
        for event in events:
            if isinstance(event, SpeechStarted):
                at_ms = ms_of_samples(self._origin + event.at_sample)
                numbered.append(SpeechBegan(self._next_index, at_ms, self.endpointing))
            else:
                numbered.append(replace(event, utterance=self._on_clock(event.utterance)))
                self._next_index += 1
        return numbered

    def _on_clock(self, utterance: Utterance) -> Utterance:
        return replace(utterance, index=self._next_index, start_sample=self._origin + utterance.start_sample)


def ms_of_samples(samples: int) -> int:
    """Whole milliseconds that `samples` last."""
    return samples * 1000 // SAMPLE_RATE_HZ
