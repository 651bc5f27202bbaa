"""Keeps the text honest: what is not worth decoding, what the model is known to invent, and how far to trust it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from gateway.core.audio import SAMPLE_RATE_HZ, Filtered, Samples, Segment, Transcript
from gateway.core.phrases import CREDITS, FILLERS, POLITE_ENDINGS, SIGN_OFFS
from gateway.core.words import compared, normalized, split_words

# No word is shorter: "a" and "I" last about 80 ms, and the segmenter puts silence around them.
MIN_AUDIO_MS = 100
# -64 dBFS in the loudest LOUDEST_MS: below what 8-bit telephony can carry at all.
QUIET_RMS = 20
LOUDEST_MS = 100
MIN_REPEATS = 3
MAX_TAIL_WORDS = 12
MIN_ECHO_WORDS = 4
# Four short words; in scripts without spaces each character counts as a word.
MIN_ECHO_CHARS = 12
# openai/whisper, transcribe.py: the defaults that make a decode fail or an utterance count as silence.
LOW_LOGPROB = -1.0
HIGH_NO_SPEECH = 0.6
HIGH_COMPRESSION = 2.4
# Between this and LOW_LOGPROB single words are often wrong.
DOUBTFUL_LOGPROB = -0.6


class Filter(StrEnum):
    """What can be taken out of a text, if the client asks for it."""

    REPEATED_TEXT = "repeated_text"
    REPEATED_TAIL = "repeated_tail"
    PROMPT_ECHO = "prompt_echo"
    FILLERS = "fillers"
    SILENCE_PHRASES = "silence_phrases"


class QualityLevel(StrEnum):
    """How far a text can be trusted."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    POOR = "poor"


@dataclass(frozen=True, slots=True)
class Quality:
    """The model's own figures, judged."""

    level: QualityLevel
    reason_codes: tuple[str, ...] = ()


def silence_reason(samples: Samples) -> str | None:
    """Why no model needs to hear this, shape (n,): `too_short` or `too_quiet`; None if one should."""
    if len(samples) < SAMPLE_RATE_HZ * MIN_AUDIO_MS // 1000:
        return "too_short"
    window = SAMPLE_RATE_HZ * LOUDEST_MS // 1000
    # Squares are summed as integers without a copy of the whole as int64: 28 s would take 3.6 MB.
    whole = samples[: len(samples) // window * window].reshape(-1, window)
    energy = np.einsum("ij,ij->i", whole, whole, dtype=np.int64)
    return "too_quiet" if int(energy.max()) < QUIET_RMS**2 * window else None


def quality(segments: Sequence[Segment]) -> Quality:
    """Judges by the mean log probability, weighted by duration, and the worst of the other figures."""
    if not segments:
        return Quality(QualityLevel.GOOD)
    weights = [max(segment.end_s - segment.start_s, 0.01) for segment in segments]
    logprob = float(np.average([segment.avg_logprob for segment in segments], weights=weights))
    poor = {
        "low_confidence": logprob < LOW_LOGPROB,
        "likely_no_speech": max(segment.no_speech_prob for segment in segments) > HIGH_NO_SPEECH,
        "repetitive": max(segment.compression_ratio for segment in segments) > HIGH_COMPRESSION,
    }
    if any(poor.values()):
        return Quality(QualityLevel.POOR, tuple(code for code, holds in poor.items() if holds))
    if logprob < DOUBTFUL_LOGPROB:
        return Quality(QualityLevel.DOUBTFUL, ("doubtful_confidence",))
    return Quality(QualityLevel.GOOD)


def is_prompt_echo(text: str, prompt: str) -> bool:
    """Whether the model may have read the prompt aloud: `text` is the prompt, begins with it, or is a part of it.

    Fewer than MIN_ECHO_WORDS or MIN_ECHO_CHARS in common prove nothing, unless they are the whole of both.
    """
    words, prompted = compared(text), compared(prompt)
    if not words or words == prompted:
        return bool(words)
    if _proves(prompted) and words[: len(prompted)] == prompted:
        return True
    ends = range(len(words), len(prompted) + 1)
    return _proves(words) and any(prompted[end - len(words) : end] == words for end in ends)


def _proves(words: list[str]) -> bool:
    return len(words) >= MIN_ECHO_WORDS and sum(map(len, words)) >= MIN_ECHO_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What else is known of a text: its language (an ISO code), the prompt it was decoded with, the model's figures."""

    language: str | None
    prompt: str | None
    level: QualityLevel


def without_filtered(transcript: Transcript, filters: frozenset[Filter], prompt: str | None) -> Transcript:
    """`transcript` with a text without what `filters` take out, which is told; the segments stay what the model said.

    `prompt` is what it was decoded with.
    """
    if not filters:
        return replace(transcript, text=transcript.text.strip())
    heard = Heard(language=transcript.language, prompt=prompt, level=quality(transcript.segments).level)
    text, filtered = apply_filters(transcript.text, filters, heard)
    return replace(transcript, text=text, filtered=transcript.filtered + filtered)


def apply_filters(text: str, filters: frozenset[Filter], heard: Heard) -> tuple[str, tuple[Filtered, ...]]:
    """`text` without what `filters` take out, and what they took."""
    filtered: list[Filtered] = []
    pieces = split_words(text.strip())
    for kind, find in _FINDERS.items():
        if kind in filters and (found := find(pieces, heard)):
            filtered.append(Filtered(kind, "".join(pieces[at] for at in found).strip()))
            pieces = [piece for at, piece in enumerate(pieces) if at not in found]
    return "".join(pieces).strip(), tuple(filtered)


def _prompt_echo(pieces: list[str], heard: Heard) -> range:
    """As many spoken words as the prompt has."""
    prompt = heard.prompt or ""
    if not is_prompt_echo("".join(pieces), prompt):
        return range(0)
    spoken = [at for at, piece in enumerate(pieces) if normalized(piece)]
    return range(spoken[: len(compared(prompt))][-1] + 1)


def _repeated_text(pieces: list[str], _: Heard) -> range:
    """All but the first of MIN_REPEATS or more equal parts that are the whole text."""
    words = [normalized(piece) for piece in pieces]
    for size in range(1, len(words) // MIN_REPEATS + 1):
        if len(words) % size == 0 and words == words[:size] * (len(words) // size):
            return range(size, len(words))
    return range(0)


def _repeated_tail(pieces: list[str], _: Heard) -> range:
    """All but the first of MIN_REPEATS or more equal parts, of MAX_TAIL_WORDS at most, at the end of the text."""
    words = [normalized(piece) for piece in pieces]
    for size in range(1, min(MAX_TAIL_WORDS, len(words) // MIN_REPEATS) + 1):
        start = len(words) - size
        while start >= size and words[start - size : start] == words[-size:]:
            start -= size
        if len(words) - start >= MIN_REPEATS * size:
            return range(start + size, len(words))
    return range(0)


def _fillers(pieces: list[str], heard: Heard) -> list[int]:
    fillers = FILLERS.get(heard.language or "", frozenset())
    found = (at for at, piece in enumerate(pieces) if normalized(piece) in fillers)
    return [at for at in found if not _is_other_word(pieces, at)]


def _is_other_word(pieces: list[str], at: int) -> bool:
    """An abbreviation, as in "the ER", or a unit, as in "5 mm"."""
    before, word = ("".join(filter(str.isalnum, piece)) for piece in (pieces[at - 1] if at else "", pieces[at]))
    return (len(word) > 1 and word.isupper()) or before.isdecimal()


def _silence_phrases(pieces: list[str], heard: Heard) -> range:
    """The whole text, if it is a credit that nobody says, or a politeness that the model itself doubts."""
    language, spoken = heard.language or "", "".join(map(normalized, pieces))
    signed_off = [
        normalized(words) for words in SIGN_OFFS.get(language, ()) if len(spoken) <= 2 * len(normalized(words))
    ]
    invented = spoken.startswith((*map(normalized, CREDITS.get(language, ())), *signed_off))
    polite = spoken in map(normalized, POLITE_ENDINGS.get(language, ()))
    return range(len(pieces) if invented or (polite and heard.level is not QualityLevel.GOOD) else 0)


_FINDERS: Mapping[Filter, Callable[[list[str], Heard], Sequence[int]]] = {
    Filter.PROMPT_ECHO: _prompt_echo,
    Filter.REPEATED_TEXT: _repeated_text,
    Filter.REPEATED_TAIL: _repeated_tail,
    Filter.FILLERS: _fillers,
    Filter.SILENCE_PHRASES: _silence_phrases,
}
