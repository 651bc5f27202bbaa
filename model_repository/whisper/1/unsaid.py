"""What a result leaves unsaid, and how the parts become one: Whisper may stop in its audio, and tell where."""

from typing import Any

from guard import Hypothesis
from jobs import Job
from transcript import TIMESTAMP_STEP_S, text_of

LEAST_UNSAID_S = 1.0
"""Less than that is the pause that Whisper takes for the end of the speech."""

LEAST_SAID_S = 0.5
"""So that each part is shorter than the one before."""


def unsaid_from_s(hypothesis: Hypothesis, timestamp_begin: int, duration_s: float) -> float | None:
    """Where the rest begins, or None where all was heard.

    Two timestamps at the end say that more speech follows the last one; openai/whisper seeks to it (transcribe.py).
    """
    last = hypothesis.tokens[-2:]
    if len(last) < 2 or min(last) < timestamp_begin:  # noqa: PLR2004 - a pair
        return None
    from_s = (last[-1] - timestamp_begin) * TIMESTAMP_STEP_S
    return from_s if LEAST_SAID_S <= from_s <= duration_s - LEAST_UNSAID_S else None


def whole_of(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """The result of the rest with what was said before it."""
    if not job.said:
        return result
    segments = [*job.said, *shifted(result["segments"], job.start_s)]
    if result.get("filtered", {}).get("reason") == "too_quiet":
        del result["filtered"]
    return result | {"segments": segments, "text": text_of(segments)}


def shifted(segments: list[dict[str, Any]], by_s: float) -> list[dict[str, Any]]:
    """The segments, and the words in them, later by so much."""
    if not by_s:
        return segments
    return [
        _later(segment, by_s)
        | ({"words": [_later(word, by_s) for word in segment["words"]]} if "words" in segment else {})
        for segment in segments
    ]


def _later(timed: dict[str, Any], by_s: float) -> dict[str, Any]:
    return timed | {"start_s": round(timed["start_s"] + by_s, 3), "end_s": round(timed["end_s"] + by_s, 3)}
