"""The words everybody shares: samples, utterances, options and transcripts."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000

Samples: TypeAlias = NDArray[np.int16]
"""Mono PCM at SAMPLE_RATE_HZ, shape (n,)."""


def samples_of_ms(duration_ms: float) -> int:
    """The number of samples that last `duration_ms`."""
    return int(duration_ms * SAMPLE_RATE_HZ / 1000)


class CutReason(StrEnum):
    """Why an utterance ended where it did."""

    SILENCE = "silence"
    MAX_LENGTH = "max_length"
    FINALIZE = "finalize"
    CLOSE = "close"


class Task(StrEnum):
    """What the model makes of the speech: its own words, or English."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """A stretch of speech on the client's clock; `start_sample` counts from the first sample received."""

    index: int
    start_sample: int
    samples: Samples

    @property
    def start_s(self) -> float:
        """Seconds from the first sample of the stream."""
        return self.start_sample / SAMPLE_RATE_HZ

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Quiet:
    """A place in a file where no utterance has ended for long, and others may go on."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """What a client may ask of the model; `None` leaves the choice to the model.

    Where the language is to be detected, it is one of `languages` if there are any. `once`: a result that looks wrong
    is not decoded again, and comes without its text.
    """

    language: str | None = None
    languages: tuple[str, ...] = ()
    task: Task = Task.TRANSCRIBE
    prompt: str | None = None
    hotwords: str | None = None
    beam_size: int | None = None
    patience: float | None = None
    temperature: float | None = None
    timestamps: bool = False
    word_timestamps: bool = False
    language_probabilities: bool = False
    no_speech_threshold: float | None = None
    log_prob_threshold: float | None = None
    compression_ratio_threshold: float | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its times, seconds on the clock of what was transcribed."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A phrase as the model cut it, with the figures by which to judge it."""

    text: str
    start_s: float
    end_s: float
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Filtered:
    """A text that was left out, and why; the text is empty where audio was not decoded."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the model made of one utterance. Times are seconds; `language` is an ISO-639-1 code.

    `filtered` is what `text` leaves out; `language_probabilities` are there where they were asked for.
    """

    text: str
    language: str
    language_probability: float
    segments: tuple[Segment, ...] = ()
    language_probabilities: dict[str, float] = field(default_factory=dict)
    filtered: tuple[Filtered, ...] = ()
