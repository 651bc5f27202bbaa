"""The wire to Triton: one utterance out, one transcript back. The only importer of tritonclient."""

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from gateway.core.admission import Lane, Permit
from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions, Samples, Transcript
from gateway.core.deadline import Deadline
from gateway.core.errors import (
    AudioTooLong,
    BadRequest,
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    Overloaded,
    TritoneError,
)
from gateway.core.recovery import Sign
from gateway.triton.control import READY, UNAVAILABLE, IndexEntry
from gateway.triton.wire import parameters_of, transcript_of

logger = logging.getLogger(__name__)

MAX_SAMPLES = 30 * SAMPLE_RATE_HZ
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_CANARY_ID = "canary"
_PULSE_ID = "pulse"
_INPUT, _OUTPUT = "AUDIO", "TRANSCRIPT"
_RETRY_AFTER_S = 2.0
# The priority levels of the model's config.pbtxt.
_FIRST, _LAST = 1, 2

# Channel arguments replace all of the client's own, the message sizes among them. The reconnect times bring the
# first answer after an outage from 5 s to under 0.6 s. A machine that vanishes without a word is otherwise found out by
# the kernel alone, after a quarter of an hour; a Triton that stands still for a while keeps what it was asked.
_CHANNEL_ARGS = [
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),
]

_TYPED_ERROR = re.compile(r"tritone:(?P<code>[a-z_]+):(?P<param>[a-z_]*):(?P<message>[^\n]*)")
_BY_CODE: Mapping[str, type[TritoneError]] = {
    "unsupported_language": BadRequest,
    "unsupported_parameter": BadRequest,
    "invalid_parameter": BadRequest,
    "prompt_too_long": BadRequest,
    "audio_too_long": AudioTooLong,
    "deadline_exceeded": DeadlineExceeded,
    "cancelled": ModelUnavailable,
    "model_failed": ModelFailed,
}


@dataclass(frozen=True, slots=True)
class _Row:
    """What one of Triton's own failures means: for the client, and for the model's health."""

    kind: type[TritoneError]
    message: str
    sign: Sign


_BUSY = _Row(Overloaded, "The model's queue is full.", Sign.LATE)
_LATE = _Row(DeadlineExceeded, "The model did not answer in time.", Sign.LATE)
_DEAD = _Row(ModelUnavailable, "The model can't be reached at the moment.", Sign.DEAD)
_ABSENT = _Row(ModelUnavailable, "The model is not loaded.", Sign.ABSENT)
_GONE = _Row(ModelUnavailable, "The model can't be reached at the moment.", Sign.UNREACHABLE)
_FAILED = _Row(ModelFailed, "The model failed on this audio.", Sign.FAILS)
# Triton's text decides before its status: UNAVAILABLE alone may mean full, late, absent, or gone. Newer versions put a
# prefix before the text, hence `in`.
_BY_TEXT = (
    ("Exceeds maximum queue size", _BUSY),
    ("Request timeout expired", _LATE),
    ("is not healthy", _DEAD),
    ("unknown model", _ABSENT),
    ("no available versions", _ABSENT),
)
_BY_STATUS = {
    "StatusCode.DEADLINE_EXCEEDED": _LATE,
    "StatusCode.UNAVAILABLE": _GONE,
    "StatusCode.NOT_FOUND": _ABSENT,
    "StatusCode.CANCELLED": _GONE,
}


class TritonTranscriber:
    """Speaks with one Triton over one channel; belongs to the event loop that made it. Close it."""

    def __init__(self, address: str) -> None:
        """Connects to `address`, HOST:PORT, when first used."""
        self.address = address
        self._client = triton.InferenceServerClient(address, channel_args=_CHANNEL_ARGS)

    async def close(self) -> None:
        """Closes the channel."""
        await self._client.close()

    async def transcribe(
        self,
        samples: Samples,
        options: DecodeOptions,
        *,
        model: str,
        request_id: str,
        deadline: Deadline,
        permit: Permit,
    ) -> Transcript:
        """The transcript of at most 30 s, with times from the first sample. Raises a TritoneError."""
        if not permit.held:
            raise ValueError("the permit was given back before the utterance was sent")
        try:
            parameters = parameters_of(options, urgent=permit.lane is Lane.LIVE)
            answer = await self._infer(model, samples, parameters, request_id, deadline)
        except InferenceServerException as error:
            raise translated(error) from error
        try:
            return transcript_of(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFailed("The model's answer can't be used.") from error

    async def canary(self, model: str, *, deadline: Deadline) -> None:
        """As Control.canary: half a second of quiet noise is encoded and decoded."""
        noise = np.random.default_rng(0).integers(-50, 50, SAMPLE_RATE_HZ // 2, dtype=np.int16)
        try:
            await self._infer(model, noise, {"canary": True}, _CANARY_ID, deadline)
        except InferenceServerException as error:
            raise translated(error) from error

    async def pulse(self, model: str, *, deadline: Deadline) -> Sign:
        """As Control.pulse."""
        try:
            await self._infer(model, np.zeros(1, np.int16), {"pulse": True}, _PULSE_ID, deadline)
        except InferenceServerException as error:
            # Any answer in the model's own words is a sign of life, so that one that knows no pulse has one too.
            return Sign.ALIVE if _TYPED_ERROR.search(error.message() or "") else _row(error).sign
        except DeadlineExceeded:
            return Sign.LATE
        except ModelFailed:
            return Sign.FAILS
        return Sign.ALIVE

    async def index(self, *, deadline: Deadline) -> tuple[IndexEntry, ...]:
        """As Control.index; of a model's versions the one that is ready, or else the last."""
        try:
            index = await self._client.get_model_repository_index(client_timeout=_left_s(deadline))
        except InferenceServerException as error:
            raise translated(error) from error
        found: dict[str, IndexEntry] = {}
        for model in sorted(index.models, key=lambda model: (model.state == READY, model.version)):
            # One that was never loaded has no state.
            found[model.name] = IndexEntry(model.name, model.version, model.state or UNAVAILABLE)
        return tuple(found[name] for name in sorted(found))

    async def transcribes(self, model: str, *, deadline: Deadline) -> bool:
        """As Control.transcribes."""
        config = await self._config(model, deadline)
        names = [tensor["name"] for tensor in (*config.get("input", ()), *config.get("output", ()))]
        return names == [_INPUT, _OUTPUT]

    async def load(self, model: str, *, deadline: Deadline) -> None:
        """As Control.load."""
        await self._load(model, None, deadline)

    async def replace(self, model: str, *, deadline: Deadline) -> None:
        """As Control.replace: Triton does it for a config that differs, so one parameter is made to."""
        config = await self._config(model, deadline)
        config.setdefault("parameters", {})["replaced_at_unix_ms"] = {"string_value": str(int(time.time() * 1000))}
        await self._load(model, orjson.dumps(config).decode(), deadline)

    async def unload(self, model: str, *, deadline: Deadline) -> None:
        """As Control.unload."""
        try:
            await self._client.unload_model(model, client_timeout=_left_s(deadline))
        except InferenceServerException as error:
            raise translated(error) from error

    async def _load(self, model: str, config: str | None, deadline: Deadline) -> None:
        try:
            await self._client.load_model(model, config=config, client_timeout=_left_s(deadline))
        except InferenceServerException as error:
            if _row(error).sign in (Sign.UNREACHABLE, Sign.LATE):
                raise translated(error) from error
            _log(error)
            raise ModelUnavailable("Triton could not load the model; its log says why.") from error

    async def _config(self, model: str, deadline: Deadline) -> dict[str, Any]:
        try:
            answer = await self._client.get_model_config(model, as_json=True, client_timeout=_left_s(deadline))
        except InferenceServerException as error:
            raise translated(error) from error
        config: dict[str, Any] = answer["config"]
        return config

    async def _infer(
        self, model: str, samples: Samples, parameters: Mapping[str, Any], request_id: str, deadline: Deadline
    ) -> dict[str, Any]:
        if samples.dtype != np.int16 or samples.ndim != 1 or not 0 < len(samples) <= MAX_SAMPLES:
            raise ValueError(
                f"audio of {samples.dtype} {samples.shape} is not int16 (n,) with n from 1 to {MAX_SAMPLES}"
            )
        left_s = _left_s(deadline)
        audio = triton.InferInput(_INPUT, [1, len(samples)], "INT16")
        audio.set_data_from_numpy(samples[np.newaxis])
        deadline_unix_ms = int((time.time() + left_s) * 1000)
        result = await self._client.infer(
            model,
            [audio],
            request_id=request_id,
            timeout=int(left_s * 1e6),
            client_timeout=left_s,
            priority=_FIRST if parameters.get("urgent") else _LAST,
            parameters={**parameters, "deadline_unix_ms": deadline_unix_ms},
        )
        return _answer_of(result, request_id)


def translated(error: InferenceServerException) -> TritoneError:
    """The error a client may see. The foreign text goes to the log only: it may hold paths and tracebacks."""
    typed = _TYPED_ERROR.search(error.message() or "")
    if typed and typed["code"] in _BY_CODE:
        kind = _BY_CODE[typed["code"]]
        return kind(typed["message"].strip(), code=_wire_code(kind, typed["code"]), param=typed["param"] or None)
    row = _row(error)
    _log(error)
    return row.kind(row.message, retry_after_s=_RETRY_AFTER_S if row.kind.retryable else None)


def _row(error: InferenceServerException) -> _Row:
    text, status = error.message() or "", error.status() or ""
    return next((row for part, row in _BY_TEXT if part in text), _BY_STATUS.get(status, _FAILED))


def _log(error: InferenceServerException) -> None:
    fields = {"status": error.status() or "", "detail": (error.message() or "")[:500]}
    logger.warning("Triton answered with an error", extra={"fields": fields})


def _wire_code(kind: type[TritoneError], code: str) -> str | None:
    return code if kind is BadRequest else None


def _left_s(deadline: Deadline) -> float:
    left_s = deadline.remaining_s(time.monotonic())
    if left_s <= 0:
        raise DeadlineExceeded("The time of this request is over.")
    return left_s


def _answer_of(result: triton.InferResult, request_id: str) -> dict[str, Any]:
    output = result.as_numpy(_OUTPUT)
    try:
        answer = orjson.loads(output.tobytes())
        echoed = answer["request_id"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFailed("The model's answer can't be used.") from error
    if echoed != request_id:
        raise ModelFailed("The model answered another request.")
    return answer  # type: ignore[no-any-return]  # indexing by a string worked, so it is a JSON object
