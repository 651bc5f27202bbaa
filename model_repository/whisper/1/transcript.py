"""From a hypothesis to the JSON a client reads: text, segments with times, figures."""

import zlib
from collections.abc import Iterator
from typing import Any

from faster_whisper.tokenizer import Tokenizer

from guard import Hypothesis
from jobs import Job

TIMESTAMP_STEP_S = 0.02


def compression_ratio(text: str) -> float:
    """Bytes of the text over its zlib size: above 2.4 it repeats itself (openai/whisper, utils.py)."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def split_at_timestamps(
    tokens: tuple[int, ...], tokenizer: Tokenizer, duration_s: float
) -> Iterator[tuple[float, float, list[int]]]:
    """(start_s, end_s, text tokens) of each phrase; without timestamp tokens there is one phrase, the whole."""
    start_s, phrase = 0.0, list[int]()
    for token in tokens:
        if token < tokenizer.timestamp_begin:
            if token < tokenizer.eot:
                phrase.append(token)
            continue
        time_s = min((token - tokenizer.timestamp_begin) * TIMESTAMP_STEP_S, duration_s)
        if phrase:
            yield start_s, max(start_s, time_s), phrase
            phrase = []
        start_s = time_s
    if phrase:
        yield start_s, duration_s, phrase


def text_of(segments: list[dict[str, Any]]) -> str:
    """What all of them say."""
    return "".join(segment["text"] for segment in segments).strip()


def segments_of(hypothesis: Hypothesis, tokenizer: Tokenizer, duration_s: float) -> list[dict[str, Any]]:
    """The phrases of a hypothesis as JSON segments, seconds from the first sample."""
    return [
        {
            # The token cap may cut a character in two.
            "text": tokenizer.decode(tokens).rstrip("\ufffd"),
            "start_s": round(start_s, 3),
            "end_s": round(end_s, 3),
            "tokens": tokens,
            "temperature": hypothesis.temperature,
            "avg_logprob": hypothesis.avg_logprob,
            "compression_ratio": hypothesis.compression_ratio,
            "no_speech_prob": hypothesis.no_speech_prob,
        }
        for start_s, end_s, tokens in split_at_timestamps(hypothesis.tokens, tokenizer, duration_s)
    ]


def result_of(job: Job, hypothesis: Hypothesis | None, segments: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of a hypothesis, None where there was nothing to hear, and of its segments."""
    result: dict[str, Any] = {
        "text": text_of(segments),
        "language": job.language or "en",
        "language_probability": job.language_probability if job.language else 0.0,
        "segments": segments,
    }
    if hypothesis is None:
        result["filtered"] = {"reason": "too_quiet", "text": ""}
    elif hypothesis.text and not segments:
        result["filtered"] = {"reason": "no_speech", "text": hypothesis.text}
    if job.options.language_probabilities:
        result["language_probabilities"] = job.language_probabilities
    return result
