"""The wire to Triton: one utterance out, one transcript back. The only importer of tritonclient."""

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from gateway.core.admission import Permit
from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions, Samples, Segment, Transcript, Word
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

logger = logging.getLogger(__name__)

MAX_SAMPLES = 30 * SAMPLE_RATE_HZ
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_CANARY_ID = "canary"
_RETRY_AFTER_S = 2.0

# Channel arguments replace all of the client's own, the message sizes among them. The reconnect times bring the
# first answer after an outage from 5 s to under 0.1 s.
_CHANNEL_ARGS = [
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
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

_BUSY = Overloaded, "The model's queue is full."
_LATE = DeadlineExceeded, "The model did not answer in time."
_GONE = ModelUnavailable, "The model can't be reached at the moment."
_FAILED = ModelFailed, "The model failed on this audio."
# Triton's text decides before its status: UNAVAILABLE alone may mean full, late, or gone. Newer versions put a
# prefix before the text, hence `in`.
_BY_TEXT = (
    ("Exceeds maximum queue size", _BUSY),
    ("Request timeout expired", _LATE),
    ("is not healthy", _GONE),
    ("unknown model", _GONE),
    ("no available versions", _GONE),
)
_BY_STATUS = {
    "StatusCode.DEADLINE_EXCEEDED": _LATE,
    "StatusCode.UNAVAILABLE": _GONE,
    "StatusCode.NOT_FOUND": _GONE,
    "StatusCode.CANCELLED": _GONE,
}


class TritonTranscriber:
    """Speaks with one Triton over one channel; belongs to the event loop that made it. Close it."""

    def __init__(self, address: str) -> None:
        """Connects to `address`, HOST:PORT, when first used."""
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
        answer = await self._infer(model, samples, parameters_of(options), request_id, deadline)
        try:
            return transcript_of(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFailed("The model's answer can't be used.") from error

    async def canary(self, model: str, *, deadline: Deadline) -> None:
        """Lets `model` encode and decode half a second of quiet noise. Raises a TritoneError."""
        noise = np.random.default_rng(0).integers(-50, 50, SAMPLE_RATE_HZ // 2, dtype=np.int16)
        await self._infer(model, noise, {"canary": True}, _CANARY_ID, deadline)

    async def ready_models(self, *, deadline: Deadline) -> tuple[str, ...]:
        """The names of the models that Triton has loaded. Raises a TritoneError."""
        try:
            index = await self._client.get_model_repository_index(client_timeout=_left_s(deadline))
        except InferenceServerException as error:
            raise translated(error) from error
        return tuple(sorted({entry.name for entry in index.models if entry.state == "READY"}))

    async def _infer(
        self, model: str, samples: Samples, parameters: Mapping[str, Any], request_id: str, deadline: Deadline
    ) -> dict[str, Any]:
        if samples.dtype != np.int16 or samples.ndim != 1 or not 0 < len(samples) <= MAX_SAMPLES:
            raise ValueError(
                f"audio of {samples.dtype} {samples.shape} is not int16 (n,) with n from 1 to {MAX_SAMPLES}"
            )
        left_s = _left_s(deadline)
        audio = triton.InferInput("AUDIO", [1, len(samples)], "INT16")
        audio.set_data_from_numpy(samples[np.newaxis])
        deadline_unix_ms = int((time.time() + left_s) * 1000)
        try:
            result = await self._client.infer(
                model,
                [audio],
                request_id=request_id,
                timeout=int(left_s * 1e6),
                client_timeout=left_s,
                parameters={**parameters, "deadline_unix_ms": deadline_unix_ms},
            )
        except InferenceServerException as error:
            raise translated(error) from error
        return _answer_of(result, request_id)


def parameters_of(options: DecodeOptions) -> dict[str, str | int | float | bool]:
    """The request parameters of the wire; what is None stays unsaid."""
    values: dict[str, str | int | float | bool | None] = {
        "language": options.language,
        "task": options.task.value,
        "prompt": options.prompt,
        "hotwords": options.hotwords,
        "beam_size": options.beam_size,
        "temperature": options.temperature,
        "timestamps": options.timestamps,
        "word_timestamps": options.word_timestamps,
        "no_speech_threshold": options.no_speech_threshold,
        "log_prob_threshold": options.log_prob_threshold,
        "compression_ratio_threshold": options.compression_ratio_threshold,
    }
    return {name: value for name, value in values.items() if value is not None}


def transcript_of(answer: Mapping[str, Any]) -> Transcript:
    """The answer of the wire as a Transcript. Raises KeyError, TypeError or ValueError when it is none."""
    return Transcript(
        text=_text(answer["text"]),
        language=_text(answer["language"]),
        language_probability=float(answer["language_probability"]),
        segments=tuple(_segment(segment) for segment in answer["segments"]),
        language_probabilities=dict(answer.get("language_probabilities") or {}),
    )


def translated(error: InferenceServerException) -> TritoneError:
    """The error a client may see. The foreign text goes to the log only: it may hold paths and tracebacks."""
    text, status = error.message() or "", error.status() or ""
    typed = _TYPED_ERROR.search(text)
    if typed and typed["code"] in _BY_CODE:
        kind = _BY_CODE[typed["code"]]
        return kind(typed["message"].strip(), code=_wire_code(kind, typed["code"]), param=typed["param"] or None)
    kind, message = next((row for part, row in _BY_TEXT if part in text), _BY_STATUS.get(status, _FAILED))
    logger.warning("Triton answered with an error", extra={"fields": {"status": status, "detail": text[:500]}})
    return kind(message, retry_after_s=_RETRY_AFTER_S if kind.retryable else None)


def _wire_code(kind: type[TritoneError], code: str) -> str | None:
    return code if kind is BadRequest else None


def _left_s(deadline: Deadline) -> float:
    left_s = deadline.remaining_s(time.monotonic())
    if left_s <= 0:
        raise DeadlineExceeded("The time of this request is over.")
    return left_s


def _answer_of(result: triton.InferResult, request_id: str) -> dict[str, Any]:
    output = result.as_numpy("TRANSCRIPT")
    try:
        answer = orjson.loads(output.tobytes())
        echoed = answer["request_id"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFailed("The model's answer can't be used.") from error
    if echoed != request_id:
        raise ModelFailed("The model answered another request.")
    return answer  # type: ignore[no-any-return]  # indexing by a string worked, so it is a JSON object


def _segment(data: Mapping[str, Any]) -> Segment:
    return Segment(
        text=_text(data["text"]),
        start_s=float(data["start_s"]),
        end_s=float(data["end_s"]),
        tokens=tuple(int(token) for token in data["tokens"]),
        temperature=float(data["temperature"]),
        avg_logprob=float(data["avg_logprob"]),
        compression_ratio=float(data["compression_ratio"]),
        no_speech_prob=float(data["no_speech_prob"]),
        words=tuple(
            Word(_text(word["text"]), float(word["start_s"]), float(word["end_s"]), float(word["probability"]))
            for word in data.get("words") or ()
        ),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not text")
    return value
