"""JSON schemas of what /utterance and /reset take and answer."""

from gateway.api.schemas import (
    FILTERED,
    FLAG,
    NAME,
    NUMBER,
    QUALITY,
    TEXT,
    Content,
    json,
    many,
    maybe,
    number,
    one_of,
    record,
    whole,
)
from gateway.audio.decode import CONTAINERS
from gateway.core.audio import Task
from gateway.core.filters import Filter
from gateway.core.languages import LANGUAGE_NAMES
from gateway.core.wire import posting_messages, stream_messages
from gateway.core.wire.bounds import DECODING, MIN_TIMEOUT_S, Bounds
from gateway.core.wire.posting_messages import OPUS, PCM16

_LANGUAGE = one_of("auto", *LANGUAGE_NAMES)
_WORD = record(word=TEXT, start=NUMBER, end=NUMBER, probability=NUMBER)
_SEGMENT = record(
    {"words": many(_WORD)}, text=TEXT, **dict.fromkeys(("start", "end", "no_speech_prob", "avg_logprob"), NUMBER)
)
UTTERANCE = json(
    record(
        {"filtered": FILTERED, "quality": QUALITY},
        job_id=TEXT,
        text=TEXT,
        segments=many(_SEGMENT),
        language=maybe(TEXT),
        language_probability=maybe(NUMBER),
        language_probabilities={"type": "object", "additionalProperties": NUMBER},
        duration=NUMBER,
        vad_segments=many({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}),
    )
)
RESET = json(record(status={"const": "ok"}, session_id=TEXT))


def utterance_body(*, max_timeout_s: float) -> Content:
    """The body of /utterance; null is the same as nothing."""
    optional = {
        **dict.fromkeys(("job_id", "trace_id", "session_id", "model"), NAME),
        **dict.fromkeys(("src_lang", "language"), _LANGUAGE),
        **dict.fromkeys(("use_context_buffer", "use_text_context", "condition_on_previous_text"), FLAG),
        **dict.fromkeys(("word_timestamps", "quality"), FLAG),
        "task": one_of(*Task),
        "prompt": {"type": "string", "maxLength": stream_messages.MAX_TEXT_CHARS},
        "audio_format": {**one_of(PCM16, OPUS, *CONTAINERS), "default": PCM16},
        "sample_rate": whole(stream_messages.MIN_SAMPLE_RATE_HZ, stream_messages.MAX_SAMPLE_RATE_HZ),
        "padding_ms": whole(0, posting_messages.MAX_PADDING_MS),
        **{name: number(bounds) for name, bounds in DECODING.items()},
        "timeout_s": number(Bounds(MIN_TIMEOUT_S, max_timeout_s)),
        "filters": many(one_of(*Filter)),
    }
    audio = {"type": "string", "contentEncoding": "base64", "minLength": 1}
    return {"application/json": record({name: maybe(schema) for name, schema in optional.items()}, audio=audio)}


def reset_body() -> Content:
    """The body of /reset."""
    flags = dict.fromkeys(("reset_vad", "reset_context", "reset_text_context"), maybe(FLAG))
    return {"application/json": record(flags, session_id=NAME)}
