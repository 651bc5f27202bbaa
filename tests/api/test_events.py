"""`stream=true`: the transcript as server-sent events."""

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest

from gateway.api.keys import ADMISSION, TELEMETRY
from gateway.core.audio import Transcript
from gateway.core.errors import ModelFailed
from tests.fakes import FakeTranscriber, transcript
from tests.fixtures.audio_files import silence, wav_bytes
from tests.serving import Gateway, Start, eventually, form, post, wav

URL = "/v1/audio/transcriptions"


class InReverse(FakeTranscriber):
    """Answers the second request of the file after the last one."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.last = asyncio.Event()

    async def transcribe(self, *given: Any, **named: Any) -> Transcript:
        number = len(self.requests)
        answer = await super().transcribe(*given, **named)
        if number == self.pieces - 1:
            self.last.set()
        if number == 1:
            await self.last.wait()
        return answer


def events_of(text: str) -> list[Any]:
    """The data of every event; the blank line behind each is a must."""
    assert text.endswith("\n\n")
    data = [block.rpartition("data: ")[2] for block in text.removesuffix("\n\n").split("\n\n")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


async def test_deltas_come_in_order_then_the_whole_then_the_end(gateway: Gateway) -> None:
    reply, text = await post(gateway, form(wav(3.0), stream="true"), headers={"x-request-id": "mine"})
    assert (reply.status, reply.content_type, reply.headers["x-request-id"]) == (200, "text/event-stream", "mine")
    *deltas, done, end = events_of(text)
    pieces = len(gateway.backend.requests)
    assert [delta["delta"] for delta in deltas] == ["piece 0", *(f" piece {number}" for number in range(1, pieces))]
    assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
    whole = "".join(delta["delta"] for delta in deltas)
    usage = {"type": "duration", "seconds": 3}
    assert done == {"type": "transcript.text.done", "text": whole, "usage": usage}
    assert end == "[DONE]"


async def test_a_slow_piece_holds_the_later_ones_back(start: Start) -> None:
    async with start(InReverse(4)) as gateway:
        _, text = await post(gateway, form(wav(4.2), stream="true", language="en"))
        assert len(gateway.backend.requests) >= 4
        assert events_of(text)[-2]["text"].split()[1::2] == [str(n) for n in range(len(gateway.backend.requests))]


async def test_a_piece_is_told_before_the_next_is_answered(gateway: Gateway) -> None:
    backend = gateway.backend
    backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(gateway.client.post(URL, data=form(wav(3.0), stream="true")))
        await backend.requests_are(1)
        backend.gate.set()
        backend.gate.clear()
        reply = await opening
        assert await reply.content.readuntil(b"\n\n") == b'data: {"type":"transcript.text.delta","delta":"piece 0"}\n\n'
        backend.gate.set()
        assert (await reply.read()).endswith(b"data: [DONE]\n\n")


async def test_nothing_said_is_done_without_a_delta(start: Start) -> None:
    async with start(file_vad="webrtc") as gateway:
        _, text = await post(gateway, form(wav_bytes(silence(1)), stream="true"))
        assert [event["type"] for event in events_of(text)[:-1]] == ["transcript.text.done"]


async def test_a_failure_before_the_first_event_is_an_ordinary_answer(gateway: Gateway) -> None:
    gateway.backend.error = ModelFailed("The model failed.")
    reply, body = await post(gateway, form(wav(1.0), stream="true"))
    assert (reply.status, reply.content_type, body["error"]["code"]) == (502, "application/json", "model_failed")


@pytest.mark.parametrize(
    ("error", "code"), [(ModelFailed("It failed."), "model_failed"), (ZeroDivisionError("/secret"), "internal_error")]
)
async def test_a_failure_after_it_is_an_event_and_the_end(
    gateway: Gateway, error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    backend = gateway.backend
    backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(gateway.client.post(URL, data=form(wav(3.0), stream="true")))
        await backend.requests_are(1)
        backend.gate.set()
        backend.gate.clear()
        reply = await opening
        await backend.requests_are(2)
        backend.error = error
        backend.gate.set()
        text = await reply.text()
    assert text.count("event: error\n") == 1
    *_, failed = events_of(text)
    assert (failed["type"], failed["error"]["code"]) == ("error", code)
    assert "secret" not in text
    assert "[DONE]" not in text
    assert (backend.in_flight, gateway.app[ADMISSION].requests) == (0, 0)
    assert gateway.app[TELEMETRY].errors.labels(code)._value.get() == 1
    logged = [vars(record)["fields"] for record in caplog.records if record.message == "request"]
    assert [(fields["status"], fields["code"]) for fields in logged] == [(200, code)]


async def test_work_stops_when_the_client_leaves(gateway: Gateway) -> None:
    backend = gateway.backend
    backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(gateway.client.post(URL, data=form(wav(8.0), stream="true")))
        await backend.requests_are(1)
        backend.gate.set()
        backend.gate.clear()
        reply = await opening
        await backend.requests_are(2)
        reply.close()
    await eventually(lambda: backend.in_flight == 0)
    assert backend.cancelled > 0
    assert gateway.app[ADMISSION].requests == 0


async def test_a_client_that_does_not_read_is_left(start: Start) -> None:
    class Talkative(FakeTranscriber):
        async def transcribe(self, *given: Any, **named: Any) -> Transcript:
            await super().transcribe(*given, **named)
            return transcript("x" * 4_000_000)

    async with start(Talkative(), send_timeout_s=0.1) as gateway:
        reply = await gateway.client.post(URL, data=form(wav(8.0), stream="true"))
        errors = gateway.app[TELEMETRY].errors
        await eventually(lambda: errors.labels("slow_reader")._value.get() == 1)
        assert (gateway.backend.in_flight, gateway.app[ADMISSION].requests) == (0, 0)
        with pytest.raises(aiohttp.ClientError):
            await reply.read()


@pytest.mark.parametrize("response_format", ["srt", "vtt", "verbose_json"])
async def test_what_needs_the_whole_is_no_stream(gateway: Gateway, response_format: str) -> None:
    reply, body = await post(gateway, form(wav(0.5), stream="true", response_format=response_format))
    assert (reply.status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_parameter", "stream")
    assert gateway.backend.requests == []


async def test_a_stream_may_be_declined(gateway: Gateway) -> None:
    _, body = await post(gateway, form(wav(0.5), stream="false"))
    assert body["text"] == "piece 0"
