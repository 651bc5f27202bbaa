"""What a session is asked to do, and what it may use."""

from dataclasses import dataclass

from gateway.core.audio import DecodeOptions, samples_of_ms
from gateway.core.errors import BadRequest
from gateway.core.filters import Filter
from gateway.core.segmenter import SegmenterConfig

# With the audio in front an utterance still fits the 30 s of Whisper's window.
MAX_UTTERANCE_MS = 28_000
MAX_AUDIO_CONTEXT_MS = 2_000
MIN_PARTIAL_INTERVAL_MS = 100
# The segmenter decides a frame after the limit; the rest keeps the client's messages from being cut too small.
PENDING_SLACK_MS = 1_000

_OPTIONS = DecodeOptions(timestamps=True)
_SEGMENTER = SegmenterConfig(max_utterance_ms=15_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What the client chose. A new one takes effect with the first utterance that starts after it.

    `options.language` None locks the language in once it was detected, with `language_lock`. Without `endpointing`
    everything is speech, and only `finalize` and `max_utterance_ms` cut. `audio_context_ms` of the utterance before is
    decoded again in front. `keeps_text`: the text is remembered, for a config with `text_context` that follows.
    `may_idle`: silence does not end the session.
    """

    model: str
    options: DecodeOptions = _OPTIONS
    segmenter: SegmenterConfig = _SEGMENTER
    endpointing: bool = True
    interim_results: bool = False
    partial_interval_ms: int = 700
    language_lock: bool = True
    may_idle: bool = False
    text_context: bool = False
    keeps_text: bool = False
    audio_context_ms: int = 0
    filters: frozenset[Filter] = frozenset()
    quality: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError, which names the field."""
        if self.segmenter.max_utterance_ms > MAX_UTTERANCE_MS:
            raise ValueError(f"max_utterance_ms: at most {MAX_UTTERANCE_MS}")
        if not 0 <= self.audio_context_ms <= MAX_AUDIO_CONTEXT_MS:
            raise ValueError(f"audio_context_ms: 0 to {MAX_AUDIO_CONTEXT_MS}")
        if self.partial_interval_ms < MIN_PARTIAL_INTERVAL_MS:
            raise ValueError(f"partial_interval_ms: at least {MIN_PARTIAL_INTERVAL_MS}")

    @property
    def heard_as(self) -> tuple[object, ...]:
        """In which languages, and by which model, it is heard: what was learned with others is of no use."""
        return self.options.language, self.options.languages, self.model

    @property
    def in_sequence(self) -> bool:
        """Whether an utterance needs the transcript of the one before it."""
        return self.text_context or self.audio_context_ms > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What one session may use.

    `max_pending_audio_ms` bounds the open utterance and those without an answer together. Without audio for `stall_s`
    the open utterance is cut: push-to-talk clients stop sending instead of sending silence. `max_failures` of the
    model in a row end the session; `replay_finals` are kept for a client that comes back.
    """

    max_pending_audio_ms: int = 30_000
    max_idle_s: float = 60.0
    max_age_s: float = 4 * 3600.0
    stall_s: float = 2.0
    finals_in_flight: int = 1
    max_failures: int = 3
    replay_finals: int = 32

    @property
    def max_pending_samples(self) -> int:
        """`max_pending_audio_ms` in samples."""
        return samples_of_ms(self.max_pending_audio_ms)

    def checked(self, config: SessionConfig) -> SessionConfig:
        """`config`, or BadRequest where its longest utterance could never be held."""
        longest_ms = self.max_pending_audio_ms - PENDING_SLACK_MS
        if config.segmenter.max_utterance_ms > longest_ms:
            raise BadRequest(
                f"Invalid value of max_utterance_ms: it must be at most {longest_ms}.",
                code="invalid_parameter",
                param="max_utterance_ms",
            )
        return config
