"""The model's own words: request parameters, and the JSON of an answer as a Transcript."""

from collections.abc import Mapping
from typing import Any

from gateway.core.audio import DecodeOptions, Filtered, Segment, Transcript, Word


def parameters_of(options: DecodeOptions, *, urgent: bool = False) -> dict[str, str | int | float | bool]:
    """The request parameters of the wire; what is None stays unsaid. What is urgent overtakes what waits."""
    values: dict[str, str | int | float | bool | None] = {
        "language": options.language,
        "languages": ",".join(options.languages) or None,
        "urgent": urgent or None,
        "task": options.task.value,
        "prompt": options.prompt,
        "hotwords": options.hotwords,
        "beam_size": options.beam_size,
        "patience": options.patience,
        "temperature": options.temperature,
        "timestamps": options.timestamps,
        "word_timestamps": options.word_timestamps,
        "language_probabilities": options.language_probabilities or None,
        "no_speech_threshold": options.no_speech_threshold,
        "log_prob_threshold": options.log_prob_threshold,
        "compression_ratio_threshold": options.compression_ratio_threshold,
        "once": options.once or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def transcript_of(answer: Mapping[str, Any]) -> Transcript:
    """The answer of the wire as a Transcript. Raises KeyError, TypeError or ValueError when it is none."""
    return Transcript(
        text=_text(answer["text"]),
        language=_text(answer["language"]),
        language_probability=float(answer["language_probability"]),
        segments=tuple(_segment(segment) for segment in answer["segments"]),
        language_probabilities=dict(answer.get("language_probabilities") or {}),
        filtered=tuple(_filtered(answer["filtered"]) if "filtered" in answer else ()),
    )


def _filtered(data: Mapping[str, Any]) -> tuple[Filtered]:
    return (Filtered(_text(data["reason"]), _text(data["text"])),)


def _segment(data: Mapping[str, Any]) -> Segment:
    return Segment(
        text=_text(data["text"]),
        start_s=float(data["start_s"]),
        end_s=float(data["end_s"]),
        tokens=tuple(int(token) for token in data["tokens"]),
        temperature=float(data["temperature"]),
        avg_logprob=float(data["avg_logprob"]),
        compression_ratio=float(data["compression_ratio"]),
        no_speech_prob=float(data["no_speech_prob"]),
        words=tuple(
            Word(_text(word["text"]), float(word["start_s"]), float(word["end_s"]), float(word["probability"]))
            for word in data.get("words") or ()
        ),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not text")
    return value
