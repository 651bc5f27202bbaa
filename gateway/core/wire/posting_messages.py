"""The wire of POST /utterance and /reset: what a client asks for, and what it is answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions, Segment, Task
from gateway.core.errors import BadRequest
from gateway.core.filters import Filter, quality
from gateway.core.live.effects import Final
from gateway.core.live.session_config import MAX_AUDIO_CONTEXT_MS, SessionConfig
from gateway.core.segmenter import SegmenterConfig
from gateway.core.stitching import added
from gateway.core.wire.bounds import DECODING, MIN_TIMEOUT_S, Bounds
from gateway.core.wire.caveats import filtered_to_wire, quality_to_wire
from gateway.core.wire.fields import Fields
from gateway.core.wire.stream_messages import MAX_SAMPLE_RATE_HZ, MAX_TEXT_CHARS, MIN_SAMPLE_RATE_HZ

MAX_PADDING_MS = 2_000
MAX_AUDIO_CHARS = 2**31
PCM16, OPUS = "pcm16", "opus"

_FIELDS = frozenset(
    (
        *("job_id", "trace_id", "session_id", "model", "src_lang", "language", "task", "prompt", "timeout_s"),
        *("audio", "audio_format", "sample_rate", "padding_ms", "use_context_buffer", "use_text_context"),
        *("beam_size", "temperature", "patience", "compression_ratio_threshold", "log_prob_threshold"),
        *("no_speech_threshold", "condition_on_previous_text", "word_timestamps", "filters", "quality"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One request. `use_*`: its session's earlier audio and text are used, and its own are kept for the next one.

    `in_turn`: each of its own pieces is prompted with the text of the one before.

    `sample_rate_hz` is that of pcm16; whatever the format, `vad_segments` are told in such samples. `audio` is base64.
    """

    job_id: str | None
    trace_id: str | None
    session_id: str | None
    model: str
    audio: str
    audio_format: str
    sample_rate_hz: int
    options: DecodeOptions
    padding_ms: int | None
    use_audio_context: bool
    use_text_context: bool
    in_turn: bool
    filters: frozenset[Filter]
    quality: bool
    timeout_s: float | None

    def session_config(self, segmenter: SegmenterConfig) -> SessionConfig:
        """How its first piece is treated. Raises BadRequest where the padding does not fit the other lengths."""
        padding_ms = segmenter.pre_roll_ms if self.padding_ms is None else self.padding_ms
        post_roll_ms = segmenter.post_roll_ms if self.padding_ms is None else self.padding_ms
        silence_ms = max(segmenter.silence_ms, post_roll_ms)
        try:
            padded = replace(segmenter, pre_roll_ms=padding_ms, post_roll_ms=post_roll_ms, silence_ms=silence_ms)
        except ValueError:
            message = "Invalid value of padding_ms: utterances are too short here for so much."
            raise BadRequest(message, code="invalid_parameter", param="padding_ms") from None
        return SessionConfig(
            model=self.model,
            options=self.options,
            segmenter=padded,
            text_context=self.use_text_context,
            keeps_text=self.use_text_context or self.in_turn,
            audio_context_ms=MAX_AUDIO_CONTEXT_MS if self.use_audio_context else 0,
            filters=self.filters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """What a session shall forget. A detector has nothing to forget: each request has one of its own."""

    session_id: str
    audio: bool
    text: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one request: where its pieces lay, first and last sample, their finals, the length of it all."""

    spans: Sequence[tuple[int, int]]
    finals: Sequence[Final]
    duration_s: float


def parse_posted(data: object, *, model: str, formats: Sequence[str], max_timeout_s: float) -> Posted:
    """The request, null being absent. `model` is the default, `formats` the containers. Raises BadRequest."""
    fields = _fields(data, _FIELDS)
    audio = fields.text("audio", None, max_chars=MAX_AUDIO_CHARS)
    if audio is None:
        raise BadRequest("The request has no audio.", code="missing_required_parameter", param="audio")
    audio_format = fields.text("audio_format", PCM16, max_chars=MAX_TEXT_CHARS)
    if audio_format not in (PCM16, OPUS, *formats):
        raise fields.invalid("audio_format", f"it must be one of {', '.join((PCM16, OPUS, *formats))}")
    session_id = fields.identifier("session_id", None)
    return Posted(
        job_id=fields.identifier("job_id", None),
        trace_id=fields.identifier("trace_id", None),
        session_id=session_id,
        model=fields.identifier("model", model) or model,
        audio=audio,
        audio_format=audio_format,
        sample_rate_hz=fields.integer("sample_rate", SAMPLE_RATE_HZ, low=MIN_SAMPLE_RATE_HZ, high=MAX_SAMPLE_RATE_HZ),
        options=_options(fields),
        padding_ms=_integer(fields, "padding_ms", Bounds(0, MAX_PADDING_MS)),
        use_audio_context=_of_session(fields, "use_context_buffer", session_id, default=False),
        use_text_context=_of_session(fields, "use_text_context", session_id, default=session_id is not None),
        in_turn=fields.flag("condition_on_previous_text", False),
        filters=fields.choices("filters", frozenset(), Filter),
        quality=fields.flag("quality", False),
        timeout_s=_number(fields, "timeout_s", Bounds(MIN_TIMEOUT_S, max_timeout_s)),
    )


def parse_reset(data: object) -> Reset:
    """What is not said is forgotten as well. Raises BadRequest."""
    fields = _fields(data, {"session_id", "reset_vad", "reset_context", "reset_text_context"})
    session_id = fields.identifier("session_id", None)
    if session_id is None:
        raise BadRequest("The request names no session.", code="missing_required_parameter", param="session_id")
    fields.flag("reset_vad", True)
    audio, text = fields.flag("reset_context", True), fields.flag("reset_text_context", True)
    return Reset(session_id=session_id, audio=audio, text=text)


def heard_to_wire(heard: Heard, posted: Posted, job_id: str) -> dict[str, Any]:
    """The answer. Times are seconds of the client's audio; nothing was said where there is no language."""
    task, text = posted.options.task, ""
    for final in heard.finals:
        text += added(text, final.text, language=final.language, task=task)
    segments = [segment for final in heard.finals for segment in final.segments]
    probabilities = _probabilities(heard.finals)
    language = posted.options.language or _most_spoken(heard.finals)
    told: dict[str, Any] = {
        "job_id": job_id,
        "text": text,
        "segments": [_segment(segment, words=posted.options.word_timestamps) for segment in segments],
        "language": language,
        "language_probability": probabilities.get(language or ""),
        "language_probabilities": probabilities,
        "duration": round(heard.duration_s, 3),
        "vad_segments": [[at * posted.sample_rate_hz // SAMPLE_RATE_HZ for at in span] for span in heard.spans],
    }
    if filtered := [each for final in heard.finals for each in final.filtered]:
        told["filtered"] = filtered_to_wire(filtered)
    if posted.quality:
        told["quality"] = quality_to_wire(quality(segments))
    return told


def _fields(data: object, known: frozenset[str] | set[str]) -> Fields:
    """Clients of the older service write null where they leave a choice to it."""
    given = {name: value for name, value in data.items() if value is not None} if isinstance(data, Mapping) else data
    return Fields(given, known)


def _options(fields: Fields) -> DecodeOptions:
    return DecodeOptions(
        language=_language(fields),
        task=fields.choice("task", Task.TRANSCRIBE),
        prompt=fields.text("prompt", None, max_chars=MAX_TEXT_CHARS),
        beam_size=_integer(fields, "beam_size"),
        patience=_number(fields, "patience"),
        temperature=_number(fields, "temperature"),
        timestamps=True,
        word_timestamps=fields.flag("word_timestamps", False),
        language_probabilities=True,
        no_speech_threshold=_number(fields, "no_speech_threshold"),
        log_prob_threshold=_number(fields, "log_prob_threshold"),
        compression_ratio_threshold=_number(fields, "compression_ratio_threshold"),
    )


def _language(fields: Fields) -> str | None:
    source, language = fields.language("src_lang", None), fields.language("language", None)
    if source and language and source != language:
        raise fields.invalid("language", "src_lang names another one")
    return source or language


def _of_session(fields: Fields, name: str, session_id: str | None, *, default: bool) -> bool:
    wanted = fields.flag(name, default)
    if wanted and session_id is None:
        raise BadRequest(f"{name} needs a session_id.", code="unsupported_parameter", param=name)
    return wanted


def _number(fields: Fields, name: str, bounds: Bounds | None = None) -> float | None:
    bounds = bounds or DECODING[name]
    return fields.number(name, bounds.low, low=bounds.low, high=bounds.high) if name in fields else None


def _integer(fields: Fields, name: str, bounds: Bounds | None = None) -> int | None:
    bounds = bounds or DECODING[name]
    low, high = int(bounds.low), int(bounds.high)
    return fields.integer(name, low, low=low, high=high) if name in fields else None


def _most_spoken(finals: Sequence[Final]) -> str | None:
    lengths_ms: Counter[str] = Counter()
    for final in finals:
        if final.text and final.language:
            lengths_ms[final.language] += final.end_ms - final.start_ms
    return lengths_ms.most_common(1)[0][0] if lengths_ms else None


def _probabilities(finals: Sequence[Final]) -> dict[str, float]:
    """What the model found, the mean over the pieces by their length; a model of one language has nothing to find."""
    sums: dict[str, float] = {}
    total_ms = 0
    for final in finals:
        found = final.language_probabilities or (
            {final.language: final.language_probability} if final.language and final.language_probability else {}
        )
        length_ms = final.end_ms - final.start_ms
        total_ms += length_ms if found else 0
        for language, probability in found.items():
            sums[language] = sums.get(language, 0.0) + probability * length_ms
    return {language: round(value / total_ms, 4) for language, value in sums.items()} if total_ms else {}


def _segment(segment: Segment, *, words: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "text": segment.text.strip(),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "no_speech_prob": round(segment.no_speech_prob, 4),
        "avg_logprob": round(segment.avg_logprob, 4),
    }
    if words:
        told["words"] = [
            {
                "word": word.text.strip(),
                "start": round(word.start_s, 3),
                "end": round(word.end_s, 3),
                "probability": round(word.probability, 4),
            }
            for word in segment.words
        ]
    return told
