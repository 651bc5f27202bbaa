"""What each speaker of a streaming benchmark says: clips with pauses, and where in it each of them is."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from loadtests.corpus import Clip, samples_of

# Long enough for every setting of `silence_ms` that is measured here, and about what people make between sentences.
PAUSE_S: Final = 1.0
_LAST_PAUSE_S: Final = 2.0
_STEP_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_LOUD_SHARE: Final = 10 ** (-30 / 20)


@dataclass(frozen=True, slots=True)
class Turn:
    """One clip within a script."""

    reference: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """One speaker's whole audio, 16 kHz, and what is said in it when."""

    samples: Samples
    turns: tuple[Turn, ...]

    @property
    def duration_s(self) -> float:
        """Pauses included."""
        return len(self.samples) / SAMPLE_RATE_HZ

    @property
    def reference(self) -> str:
        """Everything that is said."""
        return " ".join(turn.reference for turn in self.turns)

    def said_between(self, start_s: float, end_s: float) -> str:
        """The whole of every clip that is heard between two times."""
        return " ".join(turn.reference for turn in self.turns if turn.start_s < end_s and turn.end_s > start_s)

    def speech_within(self, start_s: float, end_s: float) -> tuple[float, float]:
        """When between two times the first and the last sound of speech is; the times themselves where all is silent.

        Told by the audio's own energy, 10 ms at a time, as far as 30 dB below the loudest of it: no detector that the
        gateway uses, or its hold-over, has a say in when a speaker has finished.
        """
        start_s = max(0.0, start_s)
        first = int(start_s * SAMPLE_RATE_HZ)
        samples = self.samples[first : math.ceil(end_s * SAMPLE_RATE_HZ)].astype(np.float64)
        steps = samples[: len(samples) // _STEP_SAMPLES * _STEP_SAMPLES].reshape(-1, _STEP_SAMPLES)
        loudness = np.sqrt(np.mean(np.square(steps), axis=1))
        loud = np.flatnonzero(loudness > loudness.max(initial=0.0) * _LOUD_SHARE)
        if not len(loud):
            return start_s, end_s
        step_s = _STEP_SAMPLES / SAMPLE_RATE_HZ
        return start_s + float(loud[0]) * step_s, start_s + float(loud[-1] + 1) * step_s


def scripts(corpus: Sequence[Clip], *, speakers: int, at_least_s: float, pause_s: float = PAUSE_S) -> list[Script]:
    """One script for each speaker, as different as the corpus allows: where it begins, then in which steps it goes on.

    Each goes round the corpus until it is long enough.
    """
    audio = [samples_of(clip.path) for clip in corpus]
    count = len(corpus)
    strides = [stride for stride in range(1, count + 1) if math.gcd(stride, count) == 1]
    apart = max(1, count // speakers)
    return [
        _script(
            corpus,
            audio,
            (number * apart + step * strides[number // count % len(strides)] for step in itertools.count()),
            at_least_s,
            pause_s,
        )
        for number in range(speakers)
    ]


def _script(
    corpus: Sequence[Clip], audio: Sequence[Samples], order: Iterable[int], at_least_s: float, pause_s: float
) -> Script:
    pause = np.zeros(int(pause_s * SAMPLE_RATE_HZ), np.int16)
    parts: list[Samples] = []
    turns: list[Turn] = []
    position = 0
    for number in order:
        if position >= at_least_s * SAMPLE_RATE_HZ:
            break
        at = number % len(corpus)
        start_s, position = position / SAMPLE_RATE_HZ, position + len(audio[at])
        turns.append(Turn(corpus[at].reference, start_s, position / SAMPLE_RATE_HZ))
        parts += [audio[at], pause]
        position += len(pause)
    parts.append(np.zeros(int(_LAST_PAUSE_S * SAMPLE_RATE_HZ), np.int16))
    return Script(np.concatenate(parts), tuple(turns))
