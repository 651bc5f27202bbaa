"""JSON schemas of what the routes take and answer."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from gateway.api.form import FLAGS, GRANULARITIES, NUMBERS, UNSUPPORTED, ResponseFormat
from gateway.census import MAX_TRACE_S
from gateway.core.filters import Filter, QualityLevel
from gateway.core.languages import LANGUAGE_NAMES
from gateway.core.live.session_config import MAX_AUDIO_CONTEXT_MS, MAX_UTTERANCE_MS
from gateway.core.wire import stream_messages
from gateway.core.wire.bounds import MIN_TIMEOUT_S, Bounds
from gateway.core.wire.fields import IDENTIFIER

Schema: TypeAlias = dict[str, Any]
# What a status is answered with, by media type; nothing for an answer without a body.
Content: TypeAlias = Mapping[str, Schema]
Answers: TypeAlias = Mapping[int, Content]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def whole(low: int, high: int) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": low, "maximum": high}


def many(item: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": item}


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(optional: Mapping[str, Schema] | None = None, /, **fields: Schema) -> Schema:
    """An object with exactly these fields."""
    properties = {**fields, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}


def listed(item: Schema) -> Schema:
    """OpenAI's list."""
    return record(object={"const": "list"}, data=many(item))


def json(schema: Schema, *, status: int = 200) -> Answers:
    """One answer, in JSON."""
    return {status: {"application/json": schema}}


ERROR = record(error=record(message=TEXT, type=TEXT, param=maybe(TEXT), code=maybe(TEXT)))

FILTERED = many(record(reason=TEXT, text=TEXT))
QUALITY = record(level=one_of(*QualityLevel), reason_codes=many(TEXT))
_HONESTY = {"filtered": FILTERED, "quality": QUALITY}
_USAGE = record(type={"const": "duration"}, seconds=COUNT)
_SEGMENT = record(
    **dict.fromkeys(("id", "seek"), COUNT),
    **dict.fromkeys(("start", "end", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"), NUMBER),
    text=TEXT,
    tokens=many(COUNT),
)
_VERBOSE = record(
    {"words": many(record(word=TEXT, start=NUMBER, end=NUMBER)), **_HONESTY},
    task=one_of("transcribe", "translate"),
    language=TEXT,
    duration=NUMBER,
    text=TEXT,
    segments=many(_SEGMENT),
    usage=_USAGE,
)
TRANSCRIPTIONS: Answers = {
    200: {
        "application/json": {"anyOf": [record(_HONESTY, text=TEXT, usage=_USAGE), _VERBOSE]},
        **dict.fromkeys(("text/plain", "application/x-subrip", "text/vtt", "text/event-stream"), TEXT),
    }
}

_MODEL = record(**dict.fromkeys(("id", "owned_by", "state", "version"), TEXT), object={"const": "model"}, created=COUNT)
MODELS = json(listed(_MODEL))
MODEL = json(_MODEL)
# Each Triton by its address: ok, or why it is not asked.
_ENDPOINTS: Schema = {"type": "object", "additionalProperties": TEXT}
MODEL_STATUS = json(
    record(
        **dict.fromkeys(("id", "state"), TEXT),
        problem=maybe(TEXT),
        last_answer_age_s=maybe(NUMBER),
        resident_bytes=maybe(COUNT),
        endpoints=_ENDPOINTS,
    )
)
_SESSION = record(
    object={"const": "session"},
    state=one_of("open", "closing", "detached"),
    **dict.fromkeys(("id", "door", "model"), TEXT),
    **dict.fromkeys(("age_s", "idle_s"), NUMBER),
    **dict.fromkeys(("audio_ms", "buffered_ms", "finals", "failed", "dropped_ms"), COUNT),
)
SESSIONS = json(listed(_SESSION))
SESSION = json(_SESSION)
SESSION_DELETED = json(record(id=TEXT, object={"const": "session"}, deleted={"const": True}))

_COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}
MEMORY = json(
    record(
        object={"const": "memory"},
        **dict.fromkeys(("resident_bytes", "files", "tasks", "objects", "pending_futures"), COUNT),
        **dict.fromkeys(("threads", "own", "most"), _COUNTS),
        allocations={"type": "array", "items": record(where=TEXT, size_bytes=COUNT, blocks={"type": "integer"})},
    )
)
MEMORY_QUERY: Mapping[str, Schema] = {"collect": FLAG, "trace_s": whole(0, MAX_TRACE_S)}

LIVE = json(record(status={"const": "ok"}))
_CHECKS = record(draining=TEXT, triton=TEXT, model=TEXT, admission=TEXT)
_READY = record(status=one_of("ok", "unavailable"), checks=_CHECKS, endpoints=_ENDPOINTS)
READY: Answers = {**json(_READY), **json(_READY, status=503)}
_HEALTH = record(
    status=one_of("ok", "unavailable"),
    checks=_CHECKS,
    endpoints=_ENDPOINTS,
    model=TEXT,
    models={"type": "object", "additionalProperties": TEXT},
    permits=record(limit=COUNT, in_use=COUNT, waiting=COUNT),
    requests=record(limit=COUNT, inside=COUNT),
)
HEALTH: Answers = {**json(_HEALTH), **json(_HEALTH, status=503)}
METRICS: Answers = {200: {"text/plain": TEXT}}
DOCUMENT = json({"type": "object"})
PAGE: Answers = {200: {"text/html": TEXT}}
ASSET: Answers = {200: {"text/javascript": TEXT, "text/css": TEXT}}
UPGRADE: Answers = {101: {}}

NAME = {"type": "string", "pattern": f"^{IDENTIFIER}$"}
STREAM_QUERY: Mapping[str, Schema] = {
    **dict.fromkeys(("model", "session_id", "resume_token"), NAME),
    "language": one_of("auto", *LANGUAGE_NAMES),
    "prompt": {"type": "string", "maxLength": stream_messages.MAX_TEXT_CHARS},
    "encoding": one_of(*stream_messages.Encoding),
    "sample_rate": whole(stream_messages.MIN_SAMPLE_RATE_HZ, stream_messages.MAX_SAMPLE_RATE_HZ),
    "silence_ms": whole(stream_messages.MIN_SILENCE_MS, stream_messages.MAX_SILENCE_MS),
    "max_utterance_ms": whole(stream_messages.MIN_UTTERANCE_MS, MAX_UTTERANCE_MS),
    "audio_context_ms": whole(0, MAX_AUDIO_CONTEXT_MS),
    "last_utterance": whole(-1, stream_messages.MAX_UTTERANCE_NUMBER),
    **dict.fromkeys(("interim_results", "word_timestamps", "language_lock", "text_context", "quality"), FLAG),
    "filters": {**TEXT, "description": f"{', '.join(Filter)}, divided by commas"},
}
REALTIME_QUERY: Mapping[str, Schema] = {"intent": {"const": "transcription"}, "model": NAME}

_NUMBER_TEXTS = {
    "temperature": "Of sampling; 0 is the fallback ladder.",
    "beam_size": "Hypotheses that are followed.",
    "patience": "Hypotheses that are finished, as a multiple of `beam_size`.",
    "no_speech_threshold": "Probability of silence above which a segment counts as silent.",
    "log_prob_threshold": "Mean log probability below which a decode is tried again.",
    "compression_ratio_threshold": "Repetition above which a decode is tried again.",
    "timeout_s": "Time for the whole request once it is uploaded.",
}
_FLAG_TEXTS = {
    "stream": "Answer with events while the text is made.",
    "vad_filter": "Cut at pauses, leave silence out.",
    "quality": "Tell how far the text can be trusted.",
    "condition_on_previous_text": "Prompt each utterance with the text of the one before.",
}


def number(bounds: Bounds) -> Schema:
    """A number within these."""
    kind = "integer" if bounds.whole else "number"
    return {"type": kind, "minimum": bounds.low, "maximum": bounds.high}


def transcription_form(*, max_timeout_s: float) -> Content:
    """The form of a transcription."""
    numbers = {
        name: {**number(bounds), "description": _NUMBER_TEXTS[name]}
        for name, bounds in {**NUMBERS, "timeout_s": Bounds(MIN_TIMEOUT_S, max_timeout_s)}.items()
    }
    flags = {name: {**FLAG, "default": FLAGS[name], "description": text} for name, text in _FLAG_TEXTS.items()}
    constant = {name: one_of(*sorted(accepted)) for name, accepted in UNSUPPORTED.items() if accepted}
    form = record(
        {
            "language": {**one_of(*LANGUAGE_NAMES), "description": "Detected where absent."},
            "prompt": {**TEXT, "description": "Text that came before; at most 224 tokens."},
            "languages[]": {**many(one_of(*LANGUAGE_NAMES)), "description": "One of these is detected."},
            "hotwords": {**TEXT, "description": "Words to expect; at most 224 tokens."},
            "keywords[]": {**many(TEXT), "description": "The same, by OpenAI's name."},
            "response_format": {**one_of(*ResponseFormat), "default": ResponseFormat.JSON.value},
            "timestamp_granularities[]": many(one_of(*GRANULARITIES)),
            "filters[]": {**many(one_of(*Filter)), "description": "What is taken out of the text, and told."},
            **numbers,
            **flags,
            **constant,
        },
        file={"type": "string", "format": "binary"},
        model={**TEXT, "description": "A served model; whisper-1 is the default one.", "examples": ["whisper-1"]},
    )
    return {"multipart/form-data": form}
