import time
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from gateway.core import errors
from gateway.core.admission import Lane, Permit
from gateway.core.audio import DecodeOptions, Task, Word
from gateway.core.deadline import Deadline
from gateway.core.recovery import Sign
from gateway.triton.client import TritonTranscriber, translated
from gateway.triton.wire import parameters_of, transcript_of

SEGMENT = {
    "text": " Hi.",
    "start_s": 0,
    "end_s": 1.5,
    "tokens": [1, 2],
    "temperature": 0,
    "avg_logprob": -0.5,
    "compression_ratio": 1.0,
    "no_speech_prob": 0.01,
}
ANSWER = {"text": " Hi.", "language": "en", "language_probability": 1, "segments": [SEGMENT], "request_id": "r"}


def soon() -> Deadline:
    return Deadline.after(5.0, now_s=time.monotonic())


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        ("StatusCode.UNAVAILABLE", "[request id: 1] Exceeds maximum queue size", errors.Overloaded),
        ("StatusCode.UNAVAILABLE", "Request timeout expired", errors.DeadlineExceeded),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", errors.DeadlineExceeded),
        ("StatusCode.INTERNAL", "Stub process 'base_0_0' is not healthy.", errors.ModelUnavailable),
        ("StatusCode.NOT_FOUND", "Request for unknown model: 'base' is not found", errors.ModelUnavailable),
        ("StatusCode.UNAVAILABLE", "unknown model 'base' has no available versions", errors.ModelUnavailable),
        ("StatusCode.UNAVAILABLE", "failed to connect to all addresses", errors.ModelUnavailable),
        ("StatusCode.CANCELLED", "CANCELLED", errors.ModelUnavailable),
        ("StatusCode.INTERNAL", 'Traceback: File "/srv/model.py", line 3', errors.ModelFailed),
        ("StatusCode.INVALID_ARGUMENT", "unexpected shape for input 'AUDIO'", errors.ModelFailed),
        ("", "", errors.ModelFailed),
    ],
)
def test_tritons_failures_get_a_class_and_lose_their_text(status: str, text: str, kind: type[Exception]) -> None:
    error = translated(InferenceServerException(text, status))
    assert type(error) is kind
    assert "/srv" not in error.message
    assert text not in error.message or not text
    assert (error.retry_after_s is not None) == error.retryable


@pytest.mark.parametrize(
    ("text", "kind", "code", "param"),
    [
        ("tritone:unsupported_language:language:No.", errors.BadRequest, "unsupported_language", "language"),
        ("pre: tritone:prompt_too_long:prompt:No.\nat x", errors.BadRequest, "prompt_too_long", "prompt"),
        ("tritone:invalid_parameter:beam_size:No.", errors.BadRequest, "invalid_parameter", "beam_size"),
        ("tritone:unsupported_parameter:hotwords:No.", errors.BadRequest, "unsupported_parameter", "hotwords"),
        ("tritone:audio_too_long::No.", errors.AudioTooLong, "audio_too_long", None),
        ("tritone:deadline_exceeded::No.", errors.DeadlineExceeded, "deadline_exceeded", None),
        ("tritone:cancelled::No.", errors.ModelUnavailable, "model_unavailable", None),
        ("tritone:model_failed::No.", errors.ModelFailed, "model_failed", None),
    ],
)
def test_the_models_own_errors_come_through(text: str, kind: type[Exception], code: str, param: str | None) -> None:
    error = translated(InferenceServerException(text, "StatusCode.INTERNAL"))
    assert (type(error), error.reason, error.param, error.message) == (kind, code, param, "No.")


def test_an_unknown_code_of_the_model_is_a_failure() -> None:
    assert type(translated(InferenceServerException("tritone:new_thing::x", ""))) is errors.ModelFailed


def test_parameters_say_only_what_was_asked_for() -> None:
    assert parameters_of(DecodeOptions()) == {"task": "transcribe", "timestamps": False, "word_timestamps": False}
    options = DecodeOptions(language="en", task=Task.TRANSLATE, beam_size=5, temperature=0.0, timestamps=True)
    parameters = parameters_of(options)
    assert parameters["temperature"] == 0.0
    assert type(parameters["task"]) is str
    assert (parameters["language"], parameters["task"], parameters["beam_size"]) == ("en", "translate", 5)


@pytest.mark.parametrize(
    ("lane", "urgent", "priority"), [(Lane.LIVE, True, 1), (Lane.FILE, None, 2), (Lane.LONG, None, 2)]
)
async def test_who_talks_goes_first(
    monkeypatch: pytest.MonkeyPatch, lane: Lane, urgent: bool | None, priority: int
) -> None:
    asked: dict[str, Any] = {}

    async def infer(*_: object, **options: Any) -> None:
        asked.update(options)
        raise InferenceServerException("Exceeds maximum queue size", "StatusCode.UNAVAILABLE")

    transcriber = TritonTranscriber("127.0.0.1:1")
    monkeypatch.setattr(transcriber._client, "infer", infer)
    with pytest.raises(errors.Overloaded), Permit(lambda: None, lane=lane) as permit:
        await transcriber.transcribe(
            np.ones(16_000, np.int16), DecodeOptions(), model="base", request_id="r", deadline=soon(), permit=permit
        )
    assert (asked["parameters"].get("urgent"), asked["priority"]) == (urgent, priority)
    await transcriber.close()


def test_an_answer_becomes_a_transcript() -> None:
    words = [{"text": "Hi.", "start_s": 0, "end_s": 1, "probability": 0.5}]
    transcript = transcript_of({**ANSWER, "segments": [{**SEGMENT, "words": words}], "language_probabilities": None})
    assert (transcript.text, transcript.language, transcript.language_probabilities) == (" Hi.", "en", {})
    assert transcript.segments[0].tokens == (1, 2)
    assert transcript.segments[0].words == (Word("Hi.", 0.0, 1.0, 0.5),)


@pytest.mark.parametrize(
    "damage",
    [{"text": None}, {"language": 3}, {"language_probability": "high"}, {"segments": None}, {"segments": [{}]}],
)
def test_a_damaged_answer_is_no_transcript(damage: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        transcript_of({**ANSWER, **damage})


async def test_a_triton_that_is_not_there_is_unavailable(unused_address: str) -> None:
    transcriber = TritonTranscriber(unused_address)
    try:
        with pytest.raises(errors.ModelUnavailable):
            await transcriber.canary("base", deadline=soon())
        with pytest.raises(errors.ModelUnavailable):
            await transcriber.index(deadline=soon())
        for order in (transcriber.load, transcriber.replace, transcriber.unload, transcriber.transcribes):
            with pytest.raises(errors.ModelUnavailable):
                await order("base", deadline=soon())
        assert await transcriber.pulse("base", deadline=soon()) is Sign.UNREACHABLE
        assert await transcriber.pulse("base", deadline=Deadline(0.0)) is Sign.LATE
    finally:
        await transcriber.close()


async def test_what_breaks_the_contract_is_not_sent(unused_address: str) -> None:
    transcriber = TritonTranscriber(unused_address)
    permit = Permit(lambda: None)

    async def send(samples: np.ndarray, deadline: Deadline) -> None:  # type: ignore[type-arg]  # any type is the point
        options = DecodeOptions()
        await transcriber.transcribe(samples, options, model="m", request_id="r", deadline=deadline, permit=permit)

    try:
        for samples in (np.zeros(480_001, np.int16), np.zeros(0, np.int16), np.zeros(9), np.zeros((1, 9), np.int16)):
            with pytest.raises(ValueError, match="is not int16"):
                await send(samples, soon())
        with pytest.raises(errors.DeadlineExceeded):
            await send(np.zeros(9, np.int16), Deadline(0.0))
        permit.release()
        with pytest.raises(ValueError, match="permit"):
            await send(np.zeros(9, np.int16), soon())
    finally:
        await transcriber.close()
