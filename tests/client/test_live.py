"""The live client against a service that does what a real one can't be made to do on demand."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from aiohttp import web

from gateway.client import live, sources
from gateway.client.live import Live, Message
from gateway.client.service import Service
from gateway.client.tape import PIECE_BYTES
from gateway.embedded.report import SetupError
from gateway.remote import RefusedError
from tests.serving import WITHIN_S

Behave: TypeAlias = Callable[[web.Request, web.WebSocketResponse], Awaitable[None]]
STARTED = {"type": "session.started", "session_id": "s", "resume_token": "t", "received_until_ms": 0}
CLOSED = {"type": "session.closed", "audio_ms": 0, "finals": 0, "failed": 0, "dropped_ms": 0}


@asynccontextmanager
async def answering(stream: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Service]:
    app = web.Application()
    app.router.add_get("/v1/stream", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        async with asyncio.timeout(WITHIN_S):
            yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", "key")
    finally:
        await runner.cleanup()


def behaving(behave: Behave) -> AbstractAsyncContextManager[Service]:
    async def stream(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(autoping=False)
        await answer.prepare(request)
        await behave(request, answer)
        return answer

    return answering(stream)


async def pieces(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * PIECE_BYTES


async def heard_until_close(answer: web.WebSocketResponse) -> bytes:
    data = b""
    async for message in answer:
        if message.type is web.WSMsgType.TEXT:
            assert message.json() == {"type": "close"}
            break
        data += message.data
    return data


async def test_while_it_is_told_to_pause_nothing_is_sent() -> None:
    audio: asyncio.Queue[bytes] = asyncio.Queue()
    paused = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        while data := await audio.get():
            yield data

    def tell(message: Message) -> None:
        if message["type"] == "backpressure":
            paused.set()

    async def behave(_: web.Request, answer: web.WebSocketResponse) -> None:
        assert (await answer.receive_json())["type"] == "configure"
        await answer.send_json(STARTED)
        audio.put_nowait(bytes(PIECE_BYTES))
        await answer.receive_bytes()
        await answer.send_json({"type": "backpressure", "action": "pause", "buffered_ms": 1})
        await paused.wait()
        for data in (bytes(PIECE_BYTES), b""):
            audio.put_nowait(data)
        for number in range(10):
            await answer.ping(str(number).encode())
            assert (await answer.receive()).type is web.WSMsgType.PONG
        await answer.send_json({"type": "backpressure", "action": "resume", "buffered_ms": 0})
        assert len(await heard_until_close(answer)) == PIECE_BYTES
        await answer.send_json(CLOSED)

    async with behaving(behave) as service:
        assert await Live(service, {}, tell).run(source()) == CLOSED


async def test_a_source_that_is_silent_keeps_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_KEEPALIVE_S", 0.02)
    kept = asyncio.Event()
    heard: list[bytes] = []

    async def source() -> AsyncIterator[bytes]:
        yield b"\1" * PIECE_BYTES
        await kept.wait()
        yield b"\2" * PIECE_BYTES

    async def behave(_: web.Request, answer: web.WebSocketResponse) -> None:
        await answer.receive()
        await answer.send_json(STARTED)
        while (message := await answer.receive()).data != '{"type": "close"}':
            if message.type is web.WSMsgType.BINARY:
                heard.append(message.data)
            else:
                assert message.json() == {"type": "keepalive"}
                kept.set()
        await answer.send_json(CLOSED)

    async with behaving(behave) as service:
        await Live(service, {}, lambda _: None).run(source())
    assert heard == [bytes([number]) * PIECE_BYTES for number in (1, 2)]


async def test_a_broken_connection_is_made_again_and_goes_on_where_the_service_is() -> None:
    asked: list[dict[str, str]] = []
    whole = b"".join([piece async for piece in pieces(4)])

    async def behave(request: web.Request, answer: web.WebSocketResponse) -> None:
        asked.append(dict(request.query))
        if len(asked) == 1:
            await answer.receive()
            await answer.send_json(STARTED)
            await answer.send_json({"type": "final", "utterance": 6, "text": "One."})
            await answer.receive_bytes()
            assert request.transport is not None
            request.transport.close()
        else:
            await answer.send_json(STARTED | {"received_until_ms": 100})
            assert await heard_until_close(answer) == whole[PIECE_BYTES:]
            await answer.send_json(CLOSED)

    async with behaving(behave) as service:
        await Live(service, {}, lambda _: None).run(pieces(4))
    assert asked == [{}, {"session_id": "s", "resume_token": "t", "last_utterance": "6"}]


async def test_a_session_that_the_service_has_no_more_is_no_question_of_keys() -> None:
    asked: list[web.Request] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        if len(asked) > 1:
            return web.Response(status=401)
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.send_json(STARTED)
        await answer.receive_bytes()
        assert request.transport is not None
        request.transport.close()
        return answer

    async with answering(stream) as service:
        with pytest.raises(RefusedError, match="no longer has this session"):
            await Live(service, {}, lambda _: None).run(pieces(4))
    assert "resume_token" in asked[1].query


@pytest.mark.parametrize(
    ("status", "line"),
    [(401, "--api-key"), (503, "try again in 7 s"), (404, "404 Not Found"), (520, r"answered 520; try again")],
)
async def test_a_refusal_is_one_line(status: int, line: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"})

    async with answering(refuse) as service:
        with pytest.raises(RefusedError, match=line):
            await Live(service, {}, lambda _: None).run(pieces(1))


async def test_an_error_of_the_service_ends_it() -> None:
    async def behave(_: web.Request, answer: web.WebSocketResponse) -> None:
        await answer.send_json({"type": "error", "code": "no", "message": "Because."})

    async with behaving(behave) as service:
        with pytest.raises(RefusedError, match=r"^Because\.$"):
            await Live(service, {}, lambda _: None).run(pieces(1))


async def test_what_can_not_be_read_ends_it(tmp_path: Path) -> None:
    async def behave(_: web.Request, answer: web.WebSocketResponse) -> None:
        await answer.send_json(STARTED)
        await answer.receive()

    (tmp_path / "a.wav").write_text("text")
    async with behaving(behave) as service:
        with pytest.raises(SetupError, match=r"a\.wav"):
            await Live(service, {}, lambda _: None).run(sources.file(tmp_path / "a.wav"))


async def test_a_standard_input_that_is_closed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SetupError, match="there is no standard input"):
        await anext(sources.standard_input())
