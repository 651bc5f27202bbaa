"""The wire of /v1/stream: a client's messages as commands, a session's messages as JSON objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias, cast

from gateway.core.audio import SAMPLE_RATE_HZ, Segment, Word
from gateway.core.errors import BadRequest, TritoneError
from gateway.core.filters import Filter
from gateway.core.live.effects import (
    AudioDropped,
    Backpressure,
    Closed,
    Errored,
    Failed,
    Final,
    Message,
    Partial,
    SpeechBegan,
    SpeechEnded,
)
from gateway.core.live.session_config import MAX_AUDIO_CONTEXT_MS, MAX_UTTERANCE_MS, SessionConfig
from gateway.core.segmenter import SegmenterConfig
from gateway.core.wire.caveats import filtered_to_wire, quality_to_wire
from gateway.core.wire.fields import Fields

MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 8_000, 48_000
MIN_SILENCE_MS, MAX_SILENCE_MS = 100, 10_000
MIN_UTTERANCE_MS = 1_000
MAX_TEXT_CHARS = 4_096
MAX_UTTERANCE_NUMBER = 2**31

_OPTIONS = frozenset(
    (
        *("model", "language", "prompt", "sample_rate", "encoding", "interim_results", "silence_ms"),
        *("max_utterance_ms", "word_timestamps", "text_context", "audio_context_ms", "language_lock"),
        *("filters", "quality"),
    )
)
_START = frozenset({"session_id", "resume_token", "last_utterance"})


class Encoding(StrEnum):
    """How the audio in a client's messages is written."""

    PCM16 = "pcm16"
    MULAW = "mulaw"
    ALAW = "alaw"
    F32 = "f32"
    OPUS = "opus"


class StreamCommand(StrEnum):
    """A client's message without parameters."""

    FINALIZE = "finalize"
    KEEPALIVE = "keepalive"
    RESET = "reset"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A client that comes back to a session; `last_utterance` is the last one it has an outcome of."""

    session_id: str
    resume_token: str
    last_utterance: int | None
    given: Fields = field(compare=False, repr=False)

    def check(self, options: "StreamOptions") -> None:
        """Raises BadRequest where it says other options than its session's, which stay as they are."""
        if _options(self.given, options) != options:
            raise BadRequest("A session that is resumed keeps its options.", code="invalid_parameter")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """What a client of /v1/stream can choose; `session_id` is its wish for a new session's name."""

    model: str
    language: str | None = None
    prompt: str | None = None
    sample_rate_hz: int = SAMPLE_RATE_HZ
    encoding: Encoding = Encoding.PCM16
    interim_results: bool = False
    silence_ms: int = 500
    max_utterance_ms: int = 15_000
    word_timestamps: bool = False
    language_lock: bool = True
    text_context: bool = True
    audio_context_ms: int = 0
    filters: frozenset[Filter] = frozenset()
    quality: bool = False
    session_id: str | None = None

    def session_config(self, base: SessionConfig) -> SessionConfig:
        """The config of the session; what is no choice of the client comes from `base`. Raises BadRequest."""
        return replace(
            base,
            model=self.model,
            options=replace(
                base.options, language=self.language, prompt=self.prompt, word_timestamps=self.word_timestamps
            ),
            segmenter=segmenter_of(base.segmenter, silence_ms=self.silence_ms, max_utterance_ms=self.max_utterance_ms),
            interim_results=self.interim_results,
            language_lock=self.language_lock,
            text_context=self.text_context,
            audio_context_ms=self.audio_context_ms,
            filters=self.filters,
            quality=self.quality,
        )


Command: TypeAlias = StreamOptions | StreamCommand


def segmenter_of(base: SegmenterConfig, **changes: float) -> SegmenterConfig:
    """`base` with a client's changes; what is kept after the speech fits into the silence. BadRequest if they clash."""
    post_roll_ms = min(base.post_roll_ms, int(changes["silence_ms"]))
    try:
        # Each field that a client can change is read as the type it has there.
        return replace(base, post_roll_ms=post_roll_ms, **cast(dict[str, Any], changes))
    except ValueError as error:
        raise BadRequest(
            f"Invalid value of {error}.", code="invalid_parameter", param=str(error).partition(":")[0]
        ) from None


def parse_start(values: Mapping[str, object], defaults: StreamOptions, *, is_query: bool) -> StreamOptions | Resume:
    """What a new connection asks for, in its query string or its first `configure`. Raises BadRequest."""
    fields = Fields(values, _OPTIONS | _START | (frozenset() if is_query else {"type"}), is_query=is_query)
    session_id, token = fields.identifier("session_id", None), fields.identifier("resume_token", None)
    if token is None:
        if "last_utterance" in fields:
            raise fields.invalid("last_utterance", "it needs a resume_token")
        return replace(_options(fields, defaults), session_id=session_id)
    if session_id is None:
        raise BadRequest("Only a named session can be resumed.", code="missing_required_parameter", param="session_id")
    last = fields.integer("last_utterance", -1, low=-1, high=MAX_UTTERANCE_NUMBER)
    _options(fields, defaults)
    last_utterance = None if last < 0 else last
    return Resume(session_id=session_id, resume_token=token, last_utterance=last_utterance, given=fields)


def parse_message(data: object, current: StreamOptions) -> Command:
    """A client's text frame, decoded from JSON; `configure` changes `current`. Raises BadRequest."""
    kind = data.get("type") if isinstance(data, dict) else None
    if kind == "configure":
        return _options(Fields(data, _OPTIONS | {"type"}), current)
    if not isinstance(kind, str) or kind not in set(StreamCommand):
        raise BadRequest("There is no message of this type.", code="unknown_type", param="type")
    Fields(data, {"type"})
    return StreamCommand(kind)


def _options(fields: Fields, current: StreamOptions) -> StreamOptions:
    return replace(
        current,
        model=fields.identifier("model", current.model) or current.model,
        language=fields.language("language", current.language),
        prompt=fields.text("prompt", current.prompt, max_chars=MAX_TEXT_CHARS),
        sample_rate_hz=fields.integer(
            "sample_rate", current.sample_rate_hz, low=MIN_SAMPLE_RATE_HZ, high=MAX_SAMPLE_RATE_HZ
        ),
        encoding=fields.choice("encoding", current.encoding),
        interim_results=fields.flag("interim_results", current.interim_results),
        silence_ms=fields.integer("silence_ms", current.silence_ms, low=MIN_SILENCE_MS, high=MAX_SILENCE_MS),
        max_utterance_ms=fields.integer(
            "max_utterance_ms", current.max_utterance_ms, low=MIN_UTTERANCE_MS, high=MAX_UTTERANCE_MS
        ),
        word_timestamps=fields.flag("word_timestamps", current.word_timestamps),
        language_lock=fields.flag("language_lock", current.language_lock),
        text_context=fields.flag("text_context", current.text_context),
        audio_context_ms=fields.integer("audio_context_ms", current.audio_context_ms, low=0, high=MAX_AUDIO_CONTEXT_MS),
        filters=fields.choices("filters", current.filters, Filter),
        quality=fields.flag("quality", current.quality),
    )


def session_started(session_id: str, resume_token: str, *, received_until_ms: int = 0) -> dict[str, Any]:
    """The first message; `received_until_ms` is where a client that came back sends from."""
    return {
        "type": "session.started",
        "session_id": session_id,
        "resume_token": resume_token,
        "received_until_ms": received_until_ms,
    }


def error_message(error: TritoneError) -> dict[str, Any]:
    """An error that is not about one utterance."""
    told: dict[str, Any] = {"type": "error", "code": error.reason, "message": error.message}
    return told | {"retryable": error.retryable} | ({"param": error.param} if error.param else {})


def message_to_wire(message: Message) -> dict[str, Any] | None:
    """The JSON object for `message`; None where the contract has none."""
    return _WIRES[type(message)](message)


def word_to_wire(word: Word) -> dict[str, Any]:
    """A word, times in milliseconds."""
    return {
        "text": word.text.strip(),
        "start_ms": round(word.start_s * 1000),
        "end_ms": round(word.end_s * 1000),
        "probability": round(word.probability, 4),
    }


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "text": segment.text.strip(),
        "start_ms": round(segment.start_s * 1000),
        "end_ms": round(segment.end_s * 1000),
        "avg_logprob": round(segment.avg_logprob, 4),
        "compression_ratio": round(segment.compression_ratio, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
    }


def _final(final: Final) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": "final",
        "utterance": final.index,
        "text": final.text,
        "language": final.language,
        "start_ms": final.start_ms,
        "end_ms": final.end_ms,
        "segments": [_segment(segment) for segment in final.segments],
        "reason": final.reason.value,
        "latency_ms": final.latency_ms,
    }
    if final.words is not None:
        told["words"] = [word_to_wire(word) for word in final.words]
    if final.filtered:
        told["filtered"] = filtered_to_wire(final.filtered)
    if final.quality is not None:
        told["quality"] = quality_to_wire(final.quality)
    return told


def _failed(failed: Failed) -> dict[str, Any]:
    error = failed.error
    told = {"code": error.reason, "message": error.message, "retryable": error.retryable}
    return {"type": "failed", "utterance": failed.index, **told}


def _partial(partial: Partial) -> dict[str, Any]:
    texts = {"text": partial.text, "stable_text": partial.stable_text}
    return {"type": "partial", "utterance": partial.index, **texts}


def _closed(closed: Closed) -> dict[str, Any]:
    counts = {"finals": closed.finals, "failed": closed.failed, "dropped_ms": closed.dropped_ms}
    return {"type": "session.closed", "audio_ms": closed.audio_ms, **counts}


_WIRES: Mapping[type[Message], Callable[[Any], dict[str, Any] | None]] = {
    SpeechBegan: lambda began: {"type": "speech.started", "at_ms": began.at_ms},
    SpeechEnded: lambda _: None,
    Partial: _partial,
    Final: _final,
    Failed: _failed,
    Backpressure: lambda told: {"type": "backpressure", "action": told.action.value, "buffered_ms": told.buffered_ms},
    AudioDropped: lambda told: {"type": "warning", "code": "audio_dropped", "dropped_ms": told.dropped_ms},
    Errored: lambda errored: error_message(errored.error),
    Closed: _closed,
}
