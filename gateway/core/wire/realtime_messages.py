"""The wire of /v1/realtime: OpenAI's client events as commands, and its session object."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, TypeAlias

from gateway.core.errors import BadRequest
from gateway.core.live.session_config import SessionConfig
from gateway.core.wire.fields import MAX_NAME_CHARS, Fields
from gateway.core.wire.stream_messages import MAX_SILENCE_MS, MAX_TEXT_CHARS, MIN_SILENCE_MS, Encoding, segmenter_of

PCM_RATES_HZ = (24_000, 16_000, 48_000)
G711_RATE_HZ = 8_000
# OpenAI's own limit; the door's `max_message_bytes` is a lower one.
MAX_APPEND_CHARS = 15 * 1024 * 1024
MAX_PREFIX_PADDING_MS = 2_000
MAX_KEYWORDS = 100
MAX_EVENT_ID_CHARS = 512
MIN_THRESHOLD = 0.05
# Speech goes on at half the score that starts it.
STOP_SHARE = 0.5

_FORMATS = {"audio/pcm": Encoding.PCM16, "audio/pcmu": Encoding.MULAW, "audio/pcma": Encoding.ALAW}
_TYPES = {encoding: name for name, encoding in _FORMATS.items()}
SESSION_OBJECT = "realtime.transcription_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeOptions:
    """The configuration of a transcription session; `server_vad` False leaves the cutting to the client."""

    model: str
    session_id: str = ""
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    encoding: Encoding = Encoding.PCM16
    sample_rate_hz: int = PCM_RATES_HZ[0]
    server_vad: bool = True
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500

    def session_config(self, base: SessionConfig) -> SessionConfig:
        """The config of the session; what is no choice of the client comes from `base`. Raises BadRequest."""
        return replace(
            base,
            model=self.model,
            options=replace(
                base.options,
                language=self.language,
                languages=self.languages,
                prompt=self.prompt,
                hotwords=", ".join(self.keywords) or None,
            ),
            segmenter=segmenter_of(
                base.segmenter,
                start_score=self.threshold,
                stop_score=self.threshold * STOP_SHARE,
                pre_roll_ms=self.prefix_padding_ms,
                silence_ms=self.silence_duration_ms,
                # This protocol has no such field that could be refused.
                max_utterance_ms=max(base.segmenter.max_utterance_ms, 2 * self.silence_duration_ms),
            ),
            endpointing=self.server_vad,
        )

    def to_wire(self) -> dict[str, Any]:
        """The session object of `session.created` and `session.updated`."""
        rate = {"rate": self.sample_rate_hz} if self.encoding is Encoding.PCM16 else {}
        turn_detection = {
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
        }
        transcription = {
            "model": self.model,
            "language": self.language,
            "languages": list(self.languages),
            "prompt": self.prompt,
            "keywords": list(self.keywords),
        }
        audio_input = {
            "format": {"type": _TYPES[self.encoding], **rate},
            "transcription": transcription,
            "turn_detection": turn_detection if self.server_vad else None,
            "noise_reduction": None,
        }
        return {
            "type": "transcription",
            "object": SESSION_OBJECT,
            "id": self.session_id,
            "audio": {"input": audio_input},
        }


@dataclass(frozen=True, slots=True)
class Append:
    """Audio, in the session's encoding."""

    audio: bytes


class BufferCommand(Enum):
    """A client's event without parameters."""

    COMMIT = auto()
    CLEAR = auto()


Command: TypeAlias = RealtimeOptions | Append | BufferCommand


def parse_event(data: object, current: RealtimeOptions) -> Command:
    """A client's text frame, decoded from JSON; `session.update` changes `current`. Raises BadRequest."""
    kind = data.get("type") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in _PARSERS:
        raise BadRequest("There is no event of this type.", code="unknown_type", param="type")
    return _PARSERS[kind](data, current)


def client_event_id(data: object) -> str | None:
    """The client's own id of an event, to be repeated in the error that it causes."""
    event_id = data.get("event_id") if isinstance(data, dict) else None
    return event_id[:MAX_EVENT_ID_CHARS] if isinstance(event_id, str) else None


def _append(data: object, _: RealtimeOptions) -> Append:
    text = Fields(data, {"type", "event_id", "audio"}).text("audio", None, max_chars=MAX_APPEND_CHARS)
    if text is None:
        raise BadRequest("There is no audio in it.", code="missing_required_parameter", param="audio")
    try:
        return Append(b64decode(text, validate=True))
    except ValueError:
        raise BadRequest("The audio is not base64.", code="invalid_parameter", param="audio") from None


def _update(data: object, current: RealtimeOptions) -> RealtimeOptions:
    named = {"type", "object", "id", "audio", "include"}
    session = Fields(data, {"type", "event_id", "session"}).nested("session", named)
    session.refuse("type", "transcription")
    session.refuse("object", SESSION_OBJECT)
    session.refuse("id", current.session_id)
    session.refuse("include", [])
    known = {"format", "transcription", "turn_detection", "noise_reduction"}
    audio_input = session.nested("audio", {"input"}).nested("input", known)
    audio_input.refuse("noise_reduction")
    return _with_turns(audio_input, _with_transcription(audio_input, _with_format(audio_input, current)))


def _with_format(audio_input: Fields, current: RealtimeOptions) -> RealtimeOptions:
    if "format" not in audio_input:
        return current
    form = audio_input.nested("format", {"type", "rate"})
    name = form.text("type", "audio/pcm", max_chars=MAX_NAME_CHARS)
    if name not in _FORMATS:
        raise form.invalid("type", f"it must be one of {', '.join(_FORMATS)}")
    rates_hz = PCM_RATES_HZ if name == "audio/pcm" else (G711_RATE_HZ,)
    rate_hz = form.integer("rate", rates_hz[0], low=min(rates_hz), high=max(rates_hz))
    if rate_hz not in rates_hz:
        raise form.invalid("rate", f"it must be one of {', '.join(map(str, rates_hz))}")
    return replace(current, encoding=_FORMATS[name], sample_rate_hz=rate_hz)


def _with_transcription(audio_input: Fields, current: RealtimeOptions) -> RealtimeOptions:
    known = {"model", "language", "prompt", "delay", "keywords", "languages"}
    transcription = audio_input.nested("transcription", known)
    transcription.refuse("delay")
    changed = replace(
        current,
        model=transcription.identifier("model", current.model) or current.model,
        language=transcription.language("language", current.language),
        languages=transcription.languages("languages", current.languages),
        prompt=transcription.text("prompt", current.prompt, max_chars=MAX_TEXT_CHARS),
        keywords=transcription.texts("keywords", current.keywords, most=MAX_KEYWORDS, max_chars=MAX_NAME_CHARS),
    )
    if changed.language and changed.languages:
        raise transcription.invalid("languages", "the language is given already")
    return changed


def _with_turns(audio_input: Fields, current: RealtimeOptions) -> RealtimeOptions:
    if "turn_detection" not in audio_input:
        return current
    if audio_input.is_null("turn_detection"):
        return replace(current, server_vad=False)
    times = {"threshold", "prefix_padding_ms", "silence_duration_ms"}
    others = {"type", "eagerness", "create_response", "interrupt_response", "idle_timeout_ms"}
    turns = audio_input.nested("turn_detection", times | others)
    turns.refuse("type", "server_vad")
    turns.refuse("eagerness")
    turns.refuse("create_response", False)
    turns.refuse("interrupt_response", False)
    turns.refuse("idle_timeout_ms")
    padding_ms, silence_ms = current.prefix_padding_ms, current.silence_duration_ms
    return replace(
        current,
        server_vad=True,
        threshold=turns.number("threshold", current.threshold, low=MIN_THRESHOLD, high=1),
        prefix_padding_ms=turns.integer("prefix_padding_ms", padding_ms, low=0, high=MAX_PREFIX_PADDING_MS),
        silence_duration_ms=turns.integer("silence_duration_ms", silence_ms, low=MIN_SILENCE_MS, high=MAX_SILENCE_MS),
    )


def _command(command: BufferCommand) -> Callable[[object, RealtimeOptions], Command]:
    def parse(data: object, _: RealtimeOptions) -> Command:
        Fields(data, {"type", "event_id"})
        return command

    return parse


_PARSERS: Mapping[str, Callable[[object, RealtimeOptions], Command]] = {
    "session.update": _update,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _command(BufferCommand.COMMIT),
    "input_audio_buffer.clear": _command(BufferCommand.CLEAR),
}
