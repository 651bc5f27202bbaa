"""What a job is answered with, as JSON: text, segments and figures."""

from typing import Any

from guard import Hypothesis
from jobs import Job
from transcript import text_of
from unsaid import shifted


def whole_of(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """The result of the rest with what was said before it."""
    if not job.said:
        return result
    segments = [*job.said, *shifted(result["segments"], job.start_s)]
    if result.get("filtered", {}).get("reason") == "too_quiet":
        del result["filtered"]
    return result | {"segments": segments, "text": text_of(segments)}


def result_of(job: Job, hypothesis: Hypothesis | None, segments: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of a hypothesis, None where there was nothing to hear, and of its segments."""
    result: dict[str, Any] = {
        "text": text_of(segments),
        "language": job.language or "en",
        "language_probability": job.language_probability if job.language else 0.0,
        "segments": segments,
        "avg_logprob": hypothesis.avg_logprob if hypothesis else 0.0,
        "no_speech_prob": hypothesis.no_speech_prob if hypothesis else 1.0,
        "compression_ratio": hypothesis.compression_ratio if hypothesis else 0.0,
    }
    if hypothesis is None:
        result["filtered"] = {"reason": "too_quiet", "text": ""}
    elif hypothesis.text and not segments:
        result["filtered"] = {"reason": "no_speech", "text": hypothesis.text}
    if job.options.language_probabilities:
        result["language_probabilities"] = job.language_probabilities
    return result
