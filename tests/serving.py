"""A gateway that listens with a stand-in for the model, and what clients send it."""

import asyncio
import io
import socket
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import numpy as np
from aiohttp import web

from gateway.api.keys import FLEET
from gateway.app import build_app, drained
from gateway.listener import listen
from gateway.settings import Settings
from gateway.triton.health import ModelHealth
from tests.fakes import FakeTranscriber

WITHIN_S = 30


@dataclass
class Gateway:
    """A gateway that listens, the model behind it, and a client of it."""

    app: web.Application
    backend: FakeTranscriber
    port: int
    client: aiohttp.ClientSession


Start: TypeAlias = Callable[..., AbstractAsyncContextManager[Gateway]]


def health_of(gateway: Gateway, model: str = "base") -> ModelHealth:
    """How a model of its one Triton is."""
    (keeper,) = gateway.app[FLEET].keepers(model).values()
    return keeper.health


@asynccontextmanager
async def listening(
    settings: Settings, backend: FakeTranscriber, *, within_s: float = WITHIN_S
) -> AsyncIterator[Gateway]:
    """A gateway on a free port of the loopback, as app.serve would run it; what it is for ends `within_s`."""
    app = build_app(settings, connect=lambda _: backend)
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]
    async with AsyncExitStack() as stack:
        runner = await listen(app, door)
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(drained, app)
        client = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        async with asyncio.timeout(within_s):
            yield Gateway(app, backend, port, client)


def wav(duration_s: float, *, rate_hz: int = 16_000) -> bytes:
    """Quiet noise as a wav file."""
    samples = np.random.default_rng(1).integers(-200, 200, int(duration_s * rate_hz), dtype=np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def form(audio: bytes | None, **fields: str | list[str]) -> aiohttp.FormData:
    """A transcription form; a list gives a field several times."""
    data = aiohttp.FormData()
    for name, value in {"model": "whisper-1", **fields}.items():
        for one in [value] if isinstance(value, str) else value:
            data.add_field(name, one)
    if audio is not None:
        data.add_field("file", audio, filename="a.wav", content_type="audio/wav")
    return data


async def post(
    gateway: Gateway, data: Any, url: str = "/v1/audio/transcriptions", **options: Any
) -> tuple[aiohttp.ClientResponse, Any]:
    """Posts a form; the reply and its JSON or text."""
    async with gateway.client.post(url, data=data, **options) as reply:
        content = await (reply.json() if reply.content_type == "application/json" else reply.text())
        return reply, content


async def get(gateway: Gateway, url: str, **options: Any) -> tuple[aiohttp.ClientResponse, Any]:
    """Gets `url`; the reply and its JSON or text."""
    async with gateway.client.get(url, **options) as reply:
        content = await (reply.json() if reply.content_type == "application/json" else reply.text())
        return reply, content


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for what no event tells of: an open file, a log line of another task."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
