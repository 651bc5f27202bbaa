"""What a session asks of its shell, and what it tells its client: typed, before any wire format."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from gateway.core.audio import CutReason, DecodeOptions, Filtered, Segment, Utterance, Word
from gateway.core.errors import TritoneError
from gateway.core.filters import Quality


class PressureAction(StrEnum):
    """What a client that sends faster than it is served is told."""

    SLOW_DOWN = "slow_down"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Utterance `index` is open; `at_ms` is its start. `detected` is False where all audio counts as speech."""

    index: int
    at_ms: int
    detected: bool = True


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Utterance `index` is cut; `at_ms` is its end. One Final or Failed will follow."""

    index: int
    at_ms: int
    reason: CutReason
    detected: bool = True


@dataclass(frozen=True, slots=True)
class Partial:
    """The open utterance so far. `text` starts with `stable_text`, which only grows."""

    index: int
    text: str
    stable_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """What was said in utterance `index`. All times are on the client's clock.

    `segments` (and `words`, where asked for) are what the model said; `filtered` is what `text` leaves out of it.
    `latency_ms` counts from the arrival of the audio that ended the utterance.
    """

    index: int
    text: str
    language: str | None
    language_probability: float
    start_ms: int
    end_ms: int
    reason: CutReason
    latency_ms: int
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] | None = None
    filtered: tuple[Filtered, ...] = ()
    quality: Quality | None = None
    language_probabilities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """Utterance `index` has no text, because of `error`."""

    index: int
    error: TritoneError


@dataclass(frozen=True, slots=True)
class Backpressure:
    """The client should send slower, stop, or go on; `buffered_ms` of its audio is held here."""

    action: PressureAction
    buffered_ms: int


@dataclass(frozen=True, slots=True)
class AudioDropped:
    """`dropped_ms` of audio came when no room was left, and is gone."""

    dropped_ms: int


@dataclass(frozen=True, slots=True)
class Errored:
    """The session ends because of `error`."""

    error: TritoneError


@dataclass(frozen=True, slots=True)
class Closed:
    """The account of the session; the last message."""

    audio_ms: int
    finals: int
    failed: int
    dropped_ms: int


Outcome: TypeAlias = Final | Failed
Message: TypeAlias = SpeechBegan | SpeechEnded | Partial | Outcome | Backpressure | AudioDropped | Errored | Closed


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the client. A Partial may be replaced by a newer one that waits; nothing else may be left out."""

    message: Message


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Transcribe this, and answer with `receive_transcript` or `receive_failure` for `utterance.index`."""

    utterance: Utterance
    options: DecodeOptions
    model: str


@dataclass(frozen=True, slots=True)
class TranscribePartial:
    """Transcribe this if there is capacity left; answer with `receive_partial` or `skip_partial`."""

    utterance: Utterance
    options: DecodeOptions
    model: str


@dataclass(frozen=True, slots=True)
class CancelPartial:
    """Nobody waits any more for the partial result of utterance `index`; it needs no answer."""

    index: int


@dataclass(frozen=True, slots=True)
class Close:
    """Send what waits, then close; the last effect. Whatever still runs for this session can be cancelled."""

    error: TritoneError | None


Effect: TypeAlias = Notify | Transcribe | TranscribePartial | CancelPartial | Close
