"""Recorded speech with its transcripts, as single clips and joined to one file."""

import itertools
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gateway.audio.decode import decode
from gateway.core.audio import SAMPLE_RATE_HZ, Samples, samples_of_ms
from gateway.core.errors import TritoneError
from loadtests.errors import BenchError

TRANSCRIPTS: Final = "transcripts.txt"
FIXTURES: Final = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "speech"
JOIN_SILENCE_MS: Final = 500
_SUFFIXES: Final = frozenset({".flac", ".wav", ".mp3", ".m4a", ".ogg", ".opus", ".webm"})
_MAX_CLIP_S: Final = 7200.0


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file and what is said in it."""

    name: str
    path: Path
    duration_s: float
    reference: str


def load_corpus(folder: Path) -> tuple[Clip, ...]:
    """The clips that `transcripts.txt` names, in its order. Raises BenchError when one is missing or unreadable."""
    references = parse_transcripts(_text_of(folder / TRANSCRIPTS))
    paths = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES}
    if missing := [name for name in references if name not in paths]:
        raise BenchError(f"{folder}: no audio file for {', '.join(missing[:3])} of {TRANSCRIPTS}")
    return tuple(
        Clip(name, paths[name], len(samples_of(paths[name])) / SAMPLE_RATE_HZ, reference)
        for name, reference in references.items()
    )


def parse_transcripts(text: str) -> dict[str, str]:
    """What is said, by the stem of the file; each line is `name|text`, the name with or without an extension."""
    references: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, separator, reference = line.partition("|")
        if not separator or not name.strip() or not reference.strip():
            raise BenchError(f"{TRANSCRIPTS}, line {number}: it is not `name|text`")
        path = Path(name.strip())
        references[path.stem if path.suffix.lower() in _SUFFIXES else path.name] = reference.strip()
    if not references:
        raise BenchError(f"{TRANSCRIPTS} is empty")
    return references


def samples_of(path: Path) -> Samples:
    """The file as the gateway decodes it. Raises BenchError."""
    try:
        with path.open("rb") as file:
            return np.concatenate(list(decode(file, max_audio_s=_MAX_CLIP_S)))
    except TritoneError as error:
        raise BenchError(f"{path.name}: {error}") from error


def as_wav(clip: Clip, folder: Path) -> Clip:
    """The clip as the 16 kHz wav that costs a receiver least to decode, written into `folder`."""
    path = folder / f"{clip.name}.wav"
    write_wav(path, [samples_of(clip.path)])
    return Clip(clip.name, path, clip.duration_s, clip.reference)


def join(clips: Sequence[Clip], path: Path, *, at_least_s: float = 0.0) -> Clip:
    """All clips in one wav file, silence after each; the whole repeated until it is `at_least_s` long."""
    silence = np.zeros(samples_of_ms(JOIN_SILENCE_MS), np.int16)
    once = np.concatenate([part for clip in clips for part in (samples_of(clip.path), silence)])
    repeats = max(1, -(-int(at_least_s * SAMPLE_RATE_HZ) // len(once)))
    write_wav(path, itertools.repeat(once, repeats))
    reference = " ".join(clip.reference for clip in clips)
    return Clip(path.stem, path, repeats * len(once) / SAMPLE_RATE_HZ, " ".join([reference] * repeats))


def write_wav(path: Path, parts: Iterable[Samples]) -> None:
    """16 kHz, mono, 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        for part in parts:
            file.writeframes(part.tobytes())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None
