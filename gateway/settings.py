"""The settings: one frozen object; each field says what it is, its unit, its default and its range."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gateway.core.live.session_config import SessionLimits
from gateway.core.origins import parse_origins
from gateway.core.segmenter import SegmenterConfig

MIB = 1024 * 1024
NO_KEYS = "none"
VADS = ("webrtc", "silero", "none")

Value: TypeAlias = str | int | float | Path


class SettingsError(Exception):
    """A value that can't be used; the message names the flag or the variable it came from."""


def _setting(
    default: Value,
    text: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # noqa: ANN401 - like dataclasses.field, so that each field keeps its own type
    metadata = {"help": text, "unit": unit, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen at start. Units are in the names; each field's metadata says what it is for."""

    host: str = _setting("127.0.0.1", "address the gateway listens on")
    port: int = _setting(8080, "port the gateway listens on; 0 picks a free one", low=0, high=65535)
    model: str = _setting("base", "default model, also served as whisper-1")
    also: str = _setting("", "more models to serve, divided by commas")
    max_models: int = _setting(16, "models of one Triton that are watched and served", low=1)
    triton: str = _setting(
        "127.0.0.1:8001",
        "gRPC address of Triton; several divided by commas, or a name that has several addresses, share the load",
        unit="HOST:PORT",
    )
    max_endpoints: int = _setting(16, "Tritons that are asked", low=1)
    resolve_interval_s: float = _setting(
        10.0, "how often the names in --triton are looked up", unit="seconds", low=0.05
    )
    cache_dir: Path = _setting(  # noqa: RUF009 - _setting returns a dataclasses.field, not a shared value
        Path("~/.cache/tritone"), "where weights and the embedded Triton are kept (XDG_CACHE_HOME is honoured)"
    )
    log_format: str = _setting(
        "auto", "auto: console on a terminal, JSON lines elsewhere", choices=("auto", "json", "console")
    )
    log_level: str = _setting("info", "least severity that is logged", choices=("debug", "info", "warning", "error"))

    max_upload_bytes: int = _setting(150 * MIB, "largest file that is taken", unit="bytes", low=1)
    max_field_bytes: int = _setting(16 * 1024, "largest form field that is not the file", unit="bytes", low=64)
    max_audio_s: float = _setting(7200.0, "longest audio in a file, decoded", unit="seconds", low=1)
    upload_idle_s: float = _setting(20.0, "longest pause within an upload", unit="seconds", low=0.05)
    upload_min_rate_bytes_per_s: int = _setting(
        4096, "slowest upload, averaged after the first upload-idle-s", unit="bytes a second", low=0
    )
    upload_timeout_s: float = _setting(600.0, "longest time for one upload", unit="seconds", low=0.1)
    request_timeout_s: float = _setting(
        600.0, "time for one request once its upload is complete; a client may ask for less", unit="seconds", low=0.1
    )
    utterance_timeout_s: float = _setting(120.0, "time for the model to answer one utterance", unit="seconds", low=0.1)
    drain_s: float = _setting(30.0, "time in which open requests may end when stopping", unit="seconds", low=0)
    drain_notice_s: float = _setting(
        0.0,
        "time before that in which files are still taken while /readyz says no, for a load balancer to see it",
        unit="seconds",
        low=0,
    )
    keepalive_s: float = _setting(20.0, "how long an idle connection is kept", unit="seconds", low=0)

    max_uploads_mib: int = _setting(4096, "uploads: files on their way or inside, all together", unit="MiB", low=1)
    max_requests_per_key: int = _setting(
        256, "uploads and requests at once of one key, or of one address without keys", low=1
    )
    max_uploads: int = _setting(256, "files that may be on their way to us at once", low=1)
    max_requests: int = _setting(64, "files that may be transcribed at once", low=1)
    permits: int = _setting(16, "utterances in Triton at once, of all requests", low=1)
    file_fan_out: int = _setting(
        12,
        "utterances of one file at once; fewer than permits where those are several",
        low=1,
    )
    long_file_after_s: float = _setting(
        60.0, "what comes later than this in a file lets everybody else go first", unit="seconds", low=0
    )
    long_file_permits: int = _setting(
        2, "utterances of long files in Triton at once while others are served; a GPU takes more", low=1
    )
    max_waiting_utterances: int = _setting(512, "utterances waiting for a permit at which no more are let in", low=1)
    max_waiting_audio_s: float = _setting(
        3600.0, "audio waiting for a permit at which no more is let in", unit="seconds", low=1
    )
    decode_threads: int = _setting(2, "threads that decode files", low=1, high=64)

    file_vad: str = _setting("webrtc", "voice activity detection of files; none cuts by length alone", choices=VADS)
    file_start_score: float = _setting(0.6, "speech score at which an utterance starts", low=0, high=1)
    file_stop_score: float = _setting(0.5, "speech score below which silence is counted", low=0, high=1)
    file_min_speech_ms: int = _setting(60, "shortest sound taken for speech", unit="ms", low=0)
    file_silence_ms: int = _setting(400, "silence that ends an utterance of a file", unit="ms", low=20)
    file_pre_roll_ms: int = _setting(300, "audio kept from before the speech", unit="ms", low=0)
    file_post_roll_ms: int = _setting(300, "audio kept from after the speech", unit="ms", low=0)
    file_max_utterance_ms: int = _setting(28_000, "longest utterance of a file", unit="ms", low=1000, high=28_000)

    canary_interval_s: float = _setting(
        15.0, "time without an answer of the model after which it is asked for one", unit="seconds", low=0.05
    )
    canary_timeout_s: float = _setting(10.0, "time for that answer", unit="seconds", low=0.05)
    pulse_interval_s: float = _setting(
        0.5, "how often the model's process is asked for a sign of life", unit="seconds", low=0.05
    )

    warden: str = _setting(
        "auto",
        "whether this gateway heals and replaces models: auto is on for `up` and off for `serve`, because of several "
        "gateways at one Triton only one should",
        choices=("auto", "on", "off"),
    )
    model_load_timeout_s: float = _setting(180.0, "time for Triton to load a model", unit="seconds", low=1)
    recovery_wait_s: float = _setting(
        60.0, "how long what was admitted waits for a model that is being healed", unit="seconds", low=0
    )
    retry_reserve: int = _setting(32, "second tries that may be due at once, of utterances whose model died", low=0)
    triton_metrics: str = _setting(
        "", "HTTP address of Triton's metrics, one for each in --triton; known for the embedded", unit="HOST:PORT"
    )
    model_max_resident_mib: int = _setting(
        0, "size at which a model's process is replaced; 0 is half of this machine's memory, shared", unit="MiB", low=0
    )
    recycle_interval_s: float = _setting(600.0, "least time between two such replacements", unit="seconds", low=0)
    api_keys: str = _setting(
        "",
        "file of the callers' keys (`tritone keys new` adds one); none lets everybody in; without either, only this "
        "machine can be listened on",
        unit="FILE",
    )
    api_keys_interval_s: float = _setting(2.0, "how often that file is looked at for changes", unit="seconds", low=0.05)
    max_api_keys: int = _setting(1000, "keys in that file", low=1)
    admin_key: str = _setting(
        "", "bearer token for what changes the service; without any admin key, only callers on this machine may"
    )
    allow_origins: str = _setting(
        "", "origins whose web pages may call, divided by commas; * is all of them", unit="https://HOST"
    )
    max_header_bytes: int = _setting(8190, "largest header, and longest address, of a request", unit="bytes", low=1024)

    device: str = _setting("auto", "embedded Triton: device of the model", choices=("auto", "cpu", "cuda"))
    compute_type: str = _setting("auto", "embedded Triton: CTranslate2's compute type (int8, float16, ...)")
    model_workers: int = _setting(0, "embedded Triton: parallel workers of the model; 0 by cores", low=0)
    model_threads: int = _setting(0, "embedded Triton: threads of one worker; 0 by cores", low=0)
    model_hang_limit_s: float = _setting(
        60.0,
        "a model that works for so long without a result ends itself; large ones on a CPU need more "
        "(with `serve`: what that Triton's model has as hang_limit_s)",
        unit="seconds",
        low=5,
    )
    triton_ready_timeout_s: float = _setting(180.0, "embedded Triton: time to get ready", unit="seconds", low=1)
    triton_restart_min_s: float = _setting(
        0.5, "embedded Triton: first pause before a restart", unit="seconds", low=0.05
    )
    triton_restart_max_s: float = _setting(30.0, "embedded Triton: longest pause before one", unit="seconds", low=0)

    stream_vad: str = _setting(
        "webrtc", "voice activity detection of live sessions; none cuts by length alone", choices=VADS
    )
    stream_start_score: float = _setting(0.6, "live: speech score at which an utterance starts", low=0, high=1)
    stream_stop_score: float = _setting(0.5, "live: speech score below which silence is counted", low=0, high=1)
    stream_min_speech_ms: int = _setting(60, "live: shortest sound taken for speech", unit="ms", low=0)
    stream_pre_roll_ms: int = _setting(300, "live: audio kept from before the speech", unit="ms", low=0, high=2000)
    stream_post_roll_ms: int = _setting(300, "live: audio kept from after the speech", unit="ms", low=0)
    partial_interval_ms: int = _setting(700, "live: new speech between interim results", unit="ms", low=100)
    partial_permits: int = _setting(
        2, "live: an interim result waits while as many utterances are in Triton; a GPU takes more", low=1
    )
    partial_wait_s: float = _setting(0.5, "live: how long it waits before it is left out", unit="seconds", low=0)
    partial_timeout_s: float = _setting(5.0, "live: time for an interim result", unit="seconds", low=0.05)
    final_timeout_s: float = _setting(
        30.0, "live: time from the end of an utterance's turn to its text, waiting included", unit="seconds", low=0.05
    )
    max_sessions: int = _setting(256, "live sessions at once, those that wait for their client included", low=1)
    max_sessions_per_key: int = _setting(64, "live sessions at once of one key, or of one address without keys", low=1)
    max_live_audio_mib: int = _setting(128, "live: audio held for all sessions together", unit="MiB", low=1)
    max_session_audio_ms: int = _setting(
        30_000, "live: audio held for one session, above which it is not read from", unit="ms", low=16_000
    )
    max_message_bytes: int = _setting(4 * MIB, "live: largest message of a client", unit="bytes", low=1024)
    outbox_messages: int = _setting(256, "live: messages that wait for a client to read them", low=8)
    send_timeout_s: float = _setting(
        10.0,
        "time for a client to take a message, of a live session or of events, before it is closed",
        unit="seconds",
        low=0.05,
    )
    close_timeout_s: float = _setting(2.0, "live: time for a client to answer a close", unit="seconds", low=0.05)
    configure_timeout_s: float = _setting(
        10.0, "live: time for the first message of a client that gave no query", unit="seconds", low=0.05
    )
    heartbeat_s: float = _setting(30.0, "live: silence of a connection before it is pinged", unit="seconds", low=0.1)
    audio_budget_wait_s: float = _setting(
        10.0, "live: how long a session waits for room in max-live-audio-mib", unit="seconds", low=0.05
    )
    session_idle_s: float = _setting(60.0, "live: silence of a client that ends its session", unit="seconds", low=0.1)
    session_age_s: float = _setting(4 * 3600.0, "live: greatest age of a session", unit="seconds", low=1)
    session_grace_s: float = _setting(
        30.0, "live: how long a session waits for a client whose connection broke", unit="seconds", low=0
    )
    session_stall_s: float = _setting(
        2.0, "live: pause in a client's sending that ends the open utterance", unit="seconds", low=0.1
    )
    session_failures: int = _setting(3, "live: failures of the model in a row that end a session", low=1)
    session_replay: int = _setting(32, "live: texts kept for a client that comes back", low=1)

    max_posted_bytes: int = _setting(16 * MIB, "/utterance: largest request, base64 and all", unit="bytes", low=1024)
    max_posted_audio_s: float = _setting(600.0, "/utterance: longest audio", unit="seconds", low=1)
    max_contexts: int = _setting(1024, "/utterance: sessions that are remembered", low=1)
    max_contexts_per_key: int = _setting(256, "/utterance: those of one key, or of one address without keys", low=1)
    max_context_requests: int = _setting(8, "/utterance: requests of one session that may be inside", low=1)
    context_idle_s: float = _setting(
        600.0, "/utterance: how long a session is remembered after its last request", unit="seconds", low=0.05
    )

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose web pages may call. Raises ValueError, with what is none."""
        return parse_origins(self.allow_origins)

    @property
    def api_key_file(self) -> Path | None:
        """The file of the callers' keys; None where they need none."""
        return Path(self.api_keys).expanduser() if self.api_keys not in ("", NO_KEYS) else None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model to serve, once each, the default first."""
        return listed(f"{self.model},{self.also}")

    @property
    def file_segmenter(self) -> SegmenterConfig:
        """How files are cut. Raises ValueError where the values contradict each other."""
        return SegmenterConfig(
            start_score=self.file_start_score,
            stop_score=self.file_stop_score,
            min_speech_ms=self.file_min_speech_ms,
            silence_ms=self.file_silence_ms,
            pre_roll_ms=self.file_pre_roll_ms,
            post_roll_ms=self.file_post_roll_ms,
            max_utterance_ms=self.file_max_utterance_ms,
        )

    @property
    def stream_segmenter(self) -> SegmenterConfig:
        """How live audio is cut, where a client does not say. Raises ValueError as above."""
        return SegmenterConfig(
            start_score=self.stream_start_score,
            stop_score=self.stream_stop_score,
            min_speech_ms=self.stream_min_speech_ms,
            pre_roll_ms=self.stream_pre_roll_ms,
            post_roll_ms=self.stream_post_roll_ms,
            max_utterance_ms=15_000,
        )

    @property
    def fan_out(self) -> int:
        """Utterances of one file at once: others find a permit, however few there are."""
        return min(self.file_fan_out, max(1, self.permits - 1))

    @property
    def session_limits(self) -> SessionLimits:
        """What one live session may use."""
        return SessionLimits(
            max_pending_audio_ms=self.max_session_audio_ms,
            max_idle_s=self.session_idle_s,
            max_age_s=self.session_age_s,
            stall_s=self.session_stall_s,
            max_failures=self.session_failures,
            replay_finals=self.session_replay,
        )


def listed(text: str) -> tuple[str, ...]:
    """The entries of a list that is divided by commas, once each."""
    return tuple(dict.fromkeys(entry.strip() for entry in text.split(",") if entry.strip()))
