"""How a file's transcript looks in each response format."""

import math
from typing import Any

from gateway.api.form import ResponseFormat
from gateway.core.audio import Task, Word
from gateway.core.cues import VTT_HEADER, srt_cue, vtt_cue
from gateway.core.filters import quality
from gateway.core.languages import LANGUAGE_NAMES
from gateway.core.stitching import FileTranscript, PlacedSegment
from gateway.core.wire.caveats import filtered_to_wire, quality_to_wire

_UNKNOWN_LANGUAGE = "unknown"


def as_json(transcript: FileTranscript, *, judged: bool = False) -> dict[str, Any]:
    """OpenAI's `json`, with what was left out, and with its quality where it is to be `judged`."""
    return {"text": transcript.text, "usage": _usage(transcript), **_honesty(transcript, judged=judged)}


def as_verbose_json(transcript: FileTranscript, task: Task, *, words: bool, judged: bool = False) -> dict[str, Any]:
    """As `as_json`, OpenAI's `verbose_json`.

    `language` is the English name of what the text is in: English in a translation, "unknown" where nothing was said.
    """
    language = "en" if task is Task.TRANSLATE else transcript.language or ""
    timed = [_word(word) for placed in transcript.segments for word in placed.segment.words]
    return {
        "task": task.value,
        "language": LANGUAGE_NAMES.get(language, _UNKNOWN_LANGUAGE),
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
        "segments": [_segment(number, placed) for number, placed in enumerate(transcript.segments)],
        **({"words": timed} if words else {}),
        "usage": _usage(transcript),
        **_honesty(transcript, judged=judged),
    }


def as_text(transcript: FileTranscript, response_format: ResponseFormat) -> str:
    """`text`, `srt` or `vtt`."""
    phrases = [(each.segment.start_s, each.segment.end_s, each.segment.text) for each in transcript.segments]
    if response_format is ResponseFormat.SRT:
        return "".join(srt_cue(number, *phrase) for number, phrase in enumerate(phrases, start=1))
    if response_format is ResponseFormat.VTT:
        return VTT_HEADER + "".join(vtt_cue(*phrase) for phrase in phrases)
    return transcript.text + "\n"


def _honesty(transcript: FileTranscript, *, judged: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if transcript.filtered:
        told["filtered"] = filtered_to_wire(transcript.filtered)
    if judged:
        told["quality"] = quality_to_wire(quality([placed.segment for placed in transcript.segments]))
    return told


def _usage(transcript: FileTranscript) -> dict[str, Any]:
    # OpenAI counts begun seconds.
    return {"type": "duration", "seconds": math.ceil(transcript.duration_s)}


def _segment(number: int, placed: PlacedSegment) -> dict[str, Any]:
    segment = placed.segment
    return {
        "id": number,
        "seek": placed.seek_frames,
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": segment.tokens,
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def _word(word: Word) -> dict[str, Any]:
    return {"word": word.text.strip(), "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
