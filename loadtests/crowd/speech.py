"""What the users say: recorded clips as live audio and as files, and whether an answer has their words."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from loadtests.accuracy import normalizer_for, word_error_rate
from loadtests.corpus import FIXTURES, Clip, load_corpus, samples_of
from tests.fixtures.audio_files import encode

BYTES_PER_S: Final = SAMPLE_RATE_HZ * 2
# tiny.en mishears single words; the words of another clip are nearly all wrong.
MAX_WORD_ERRORS_PERCENT: Final = 34.0
_PAUSE_S: Final = 0.5
_LONG_ROUNDS: Final = 2
_LOUD_SHARE: Final = 10 ** (-30 / 20)
_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50
_normalized: Final = normalizer_for("en")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clip as 16 kHz pcm16; the two times are those of its first and last sound above -30 dB of the loudest."""

    name: str
    pcm: bytes
    reference: str
    speech_start_s: float
    speech_end_s: float

    @property
    def duration_s(self) -> float:
        """Silence around the speech included."""
        return len(self.pcm) / BYTES_PER_S


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A clip as a file of one format."""

    name: str
    data: bytes
    reference: str


@cache
def clips() -> tuple[Spoken, ...]:
    """Every clip of the corpus."""
    return tuple(_spoken(clip) for clip in load_corpus(FIXTURES))


@cache
def long_clip() -> Spoken:
    """All clips one after the other, as one: more than one utterance can hold."""
    return _joined(1)


@cache
def short_files() -> tuple[AudioFile, ...]:
    """Each clip in a format; every format is there."""
    formats = (
        ("wav", "pcm_s16le", SAMPLE_RATE_HZ),
        ("flac", "flac", SAMPLE_RATE_HZ),
        ("mp3", "libmp3lame", SAMPLE_RATE_HZ),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("mp4", "aac", SAMPLE_RATE_HZ),
    )
    files = []
    for number, clip in enumerate(clips()):
        container, codec, rate_hz = formats[number % len(formats)]
        data = encode(np.frombuffer(clip.pcm, np.int16), container, codec, rate_hz)
        files.append(AudioFile(f"{clip.name}.{container}", data, clip.reference))
    return tuple(files)


@cache
def long_file() -> AudioFile:
    """The largest payload: everything, more than once, uncompressed."""
    clip = _joined(_LONG_ROUNDS)
    data = encode(np.frombuffer(clip.pcm, np.int16), "wav", "pcm_s16le", SAMPLE_RATE_HZ)
    return AudioFile("long.wav", data, clip.reference)


def wrong_words(reference: str, text: str) -> str | None:
    """What is wrong with the words of an answer, in figures; None where they are right."""
    said, heard = _normalized(reference), _normalized(text)
    percent = word_error_rate([said], [heard])
    if percent <= MAX_WORD_ERRORS_PERCENT:
        return None
    return f"{percent:.0f} % of {len(said.split())} words are wrong ({len(heard.split())} were told)"


def _spoken(clip: Clip) -> Spoken:
    return _of_samples(clip.name, samples_of(clip.path), clip.reference)


def _of_samples(name: str, samples: Samples, reference: str) -> Spoken:
    frames = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    loudness = np.sqrt(np.mean(np.square(frames.astype(np.float64)), axis=1))
    loud = np.flatnonzero(loudness > loudness.max() * _LOUD_SHARE)
    frame_s = _FRAME_SAMPLES / SAMPLE_RATE_HZ
    return Spoken(name, samples.tobytes(), reference, float(loud[0]) * frame_s, float(loud[-1] + 1) * frame_s)


def _joined(rounds: int) -> Spoken:
    pause = np.zeros(int(_PAUSE_S * SAMPLE_RATE_HZ), np.int16)
    parts = [part for clip in clips() for part in (np.frombuffer(clip.pcm, np.int16), pause)] * rounds
    return _of_samples("long", np.concatenate(parts), " ".join([clip.reference for clip in clips()] * rounds))
