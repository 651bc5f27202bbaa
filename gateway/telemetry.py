"""Every metric's name, unit and labels, and how log lines look."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TextIO

import orjson
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector

from gateway.core.admission import Admission
from gateway.core.live.effects import AudioDropped, Backpressure, Failed, Final, Message
from gateway.settings import Settings

request_id_var: ContextVar[str] = ContextVar("request_id", default="")

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 12, 20, 40, 80, 160, 320, 640)


class Telemetry:
    """The metrics of one gateway, in a registry of their own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        counter, gauge, seconds = _kinds(registry)
        self.requests = counter("tritone_requests", "Answered requests", ["route", "status"])
        self.errors = counter("tritone_errors", "Requests that ended in an error", ["code"])
        self.request_seconds = seconds(
            "tritone_request_seconds", "From the request to its answer, WebSockets aside", ["route"]
        )
        self.stage_seconds = seconds(
            "tritone_stage_seconds",
            "Time by stage: upload and decode of a file, queue and model of an utterance",
            ["stage"],
        )
        self.upload_bytes = counter("tritone_upload_bytes", "Bytes of files received")
        self.audio_seconds = counter("tritone_audio_seconds", "Seconds of audio answered")
        self.utterances = counter(
            "tritone_utterances", "Utterances sent to the model, by ok or error code", ["outcome"]
        )
        self.canaries = counter("tritone_canaries", "Health checks through the model", ["endpoint", "outcome"])
        self.model_ready = gauge("tritone_model_ready", "1 when requests are let in", ["endpoint", "model"])
        self.breaker_opened = counter(
            "tritone_breaker_opened", "Times that a model's requests began to be refused", ["endpoint", "model"]
        )
        self.retries = counter("tritone_retries", "Utterances whose model died: tried again or refused", ["outcome"])
        self.restorations = counter(
            "tritone_restorations",
            "Models healed or loaded by the warden, by what was seen of them and how it went",
            ["endpoint", "model", "step", "sign", "outcome"],
        )
        self.restoration_seconds = seconds("tritone_restoration_seconds", "From unload to loaded")
        self.replacements = counter(
            "tritone_replacements",
            "Models whose process was replaced while serving, by reason and how it went",
            ["endpoint", "model", "reason", "outcome"],
        )
        self.resident_bytes = gauge(
            "tritone_watched_resident_bytes", "Size of a model's process as last seen", ["endpoint", "model"]
        )
        self.endpoint_in_flight = gauge("tritone_endpoint_in_flight", "Utterances that one Triton has", ["endpoint"])
        self.endpoints = gauge("tritone_endpoints", "Tritons that are asked or watched")
        self.key_files = counter("tritone_api_key_files", "Changed files of API keys, read or refused", ["outcome"])
        ProcessCollector(registry=registry)
        self.show("tritone_tasks", "Tasks of the event loop, that of this request included", _running_tasks)
        self.live = LiveTelemetry(registry)

    def forget(self, endpoint: str) -> None:
        """Drops what is told of a Triton that is no longer there."""
        for metric in (*self._of_models, self.canaries, self.endpoint_in_flight):
            metric.remove_by_labels({"endpoint": endpoint})

    def forget_model(self, endpoint: str, model: str) -> None:
        """Drops what is told of a model that is looked after no more."""
        for metric in self._of_models:
            metric.remove_by_labels({"endpoint": endpoint, "model": model})

    @property
    def _of_models(self) -> tuple[Counter | Gauge, ...]:
        return (self.model_ready, self.resident_bytes, self.breaker_opened, self.restorations, self.replacements)

    def watch(self, admission: Admission) -> None:
        """Shows the admission's counts and limits; they are read when the metrics are."""
        counts = (
            ("tritone_uploads_in_progress", "Files on their way", lambda: admission.uploads),
            ("tritone_uploads_limit", "Files that may be on their way", lambda: admission.limits.max_uploads),
            ("tritone_upload_bytes_held", "Bytes of files on their way or inside", lambda: admission.upload_bytes),
            ("tritone_upload_bytes_limit", "Bytes there may be", lambda: admission.limits.max_upload_bytes),
            ("tritone_requests_in_progress", "Requests inside", lambda: admission.requests),
            ("tritone_requests_limit", "Requests that may be inside", lambda: admission.limits.max_requests),
            ("tritone_utterances_in_flight", "Utterances in Triton", lambda: admission.in_flight),
            ("tritone_permits", "Utterances that may be in Triton", lambda: admission.limits.permits),
            ("tritone_utterances_waiting", "Utterances that wait for a permit", lambda: admission.waiting),
            ("tritone_waiting_audio_seconds", "Audio that waits for a permit", lambda: admission.waiting_audio_s),
        )
        for name, text, read in counts:
            self.show(name, text, read)

    def show(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Adds a gauge that is read when the metrics are."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def _kinds(registry: CollectorRegistry) -> tuple[partial[Counter], partial[Gauge], partial[Histogram]]:
    seconds = partial(Histogram, registry=registry, buckets=_SECONDS)
    return partial(Counter, registry=registry), partial(Gauge, registry=registry), seconds


def _running_tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # read outside the loop
        return 0


class LiveTelemetry:
    """The metrics of live sessions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, _, seconds = _kinds(registry)
        self.refused = counter(
            "tritone_sessions_refused", "Live sessions that were not let in, by error code", ["code"]
        )
        self.ended = counter("tritone_sessions_ended", "Live sessions by how they ended", ["reason"])
        self.finals = counter("tritone_finals", "Utterances of live sessions, by ok or error code", ["outcome"])
        self.final_seconds = seconds(
            "tritone_final_seconds", "From the arrival of the audio that ended an utterance to its text"
        )
        self.partials = counter(
            "tritone_partials",
            "Interim results: told, skipped for want of room, unsure, late, or failed by error code",
            ["outcome"],
        )
        self.replaced = counter("tritone_partials_replaced", "Interim results that a newer one overtook")
        self.backpressure = counter("tritone_backpressure", "Times that a client was told to slow down", ["action"])
        self.dropped_seconds = counter("tritone_dropped_seconds", "Audio that was dropped")
        self.budget_waits = counter("tritone_live_audio_waits", "Times that a session waited for room for its audio")
        self.slow_readers = counter(
            "tritone_slow_readers", "Clients that were closed because they did not read", ["bound"]
        )
        self.contexts_refused = counter(
            "tritone_contexts_refused", "Posted utterances their session had no place for", ["code"]
        )
        self.contexts_expired = counter("tritone_contexts_expired", "Sessions of posted utterances forgotten when idle")

    def told(self, message: Message) -> None:
        """Counts what a session has to tell, whether or not its client is there."""
        match message:
            case Final(latency_ms=latency_ms):
                self.finals.labels("ok").inc()
                self.final_seconds.observe(latency_ms / 1000)
            case Failed(error=error):
                self.finals.labels(error.reason).inc()
            case Backpressure(action=action):
                self.backpressure.labels(action.value).inc()
            case AudioDropped(dropped_ms=dropped_ms):
                self.dropped_seconds.inc(dropped_ms / 1000)
            case _:
                pass


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Sends the log to `stream` (standard error) in the format that `settings` ask for."""
    stream = stream or sys.stderr
    as_console = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    output = logging.StreamHandler(stream)
    output.setFormatter(ConsoleFormatter() if as_console else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(settings.log_level.upper())
    # aiohttp warns with the subprotocols that a client offers: browsers have no other place for their key.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    logging.getLogger("aiohttp.server").addFilter(_without_bytes)


def _without_bytes(record: logging.LogRecord) -> bool:
    """Aiohttp logs what is no HTTP with the bytes of it, in which a key can stand; it is no error of ours either."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
    return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id_var.get() or None,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps({key: value for key, value in line.items() if value is not None}, default=str).decode()


class ConsoleFormatter(logging.Formatter):
    """A line for people: time, level, message, key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with its traceback below."""
        parts = [time.strftime("%H:%M:%S", time.localtime(record.created)), f"{record.levelname.lower():7}"]
        parts.append(record.getMessage())
        parts += [f"{key}={value}" for key, value in getattr(record, "fields", {}).items() if value is not None]
        if request_id := request_id_var.get():
            parts.append(f"request_id={request_id}")
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return " ".join(parts) + trace
