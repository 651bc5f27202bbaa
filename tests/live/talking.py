"""A client of the live doors, and audio for it."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from gateway.api.keys import ADMISSION, LIVE, TELEMETRY
from gateway.core.audio import SAMPLE_RATE_HZ
from tests.serving import Gateway, eventually

STREAM = "/v1/stream"
REALTIME = "/v1/realtime?intent=transcription"
# Cut by length alone, after a second, so that what is sent to the model is known without a detector.
BY_LENGTH: dict[str, Any] = {"stream_vad": "none", "session_stall_s": 60, "close_timeout_s": 0.5}
SECOND = "?max_utterance_ms=1000&silence_ms=300"


def tone(duration_s: float) -> bytes:
    """Loud enough to be heard, as pcm16 at 16 kHz."""
    time_s = np.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    samples = (8_000 * np.sin(2 * np.pi * 300 * time_s)).astype("<i2")
    return bytes(samples.tobytes())


@dataclass
class Talker:
    """One connection, and what was told over it so far."""

    socket: aiohttp.ClientWebSocketResponse
    told: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, kind: str, **values: Any) -> None:
        """Sends one JSON message."""
        await self.socket.send_json({"type": kind, **values})

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of this type."""
        async for message in self.socket:
            self.told.append(json.loads(message.data))
            if self.told[-1]["type"] == kind:
                return self.told[-1]
        raise AssertionError(f"no {kind}; closed with {self.socket.close_code}; told {self.told}")

    async def rest(self) -> int | None:
        """Hears everything to the end; the close code."""
        async for message in self.socket:
            self.told.append(json.loads(message.data))
        return self.socket.close_code

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a type."""
        return [message for message in self.told if message["type"] == kind]


def kill(talker: Talker, *, reset: bool = False) -> None:
    """The client's process is gone: its machine ends the connection, or resets it."""
    if reset:
        talker.socket.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection = talker.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()


@asynccontextmanager
async def talking(gateway: Gateway, url: str = STREAM + SECOND, **options: Any) -> AsyncIterator[Talker]:
    """A connection to `url`; its first message was received."""
    timeout = aiohttp.ClientWSTimeout(ws_close=1.0)
    async with gateway.client.ws_connect(url, timeout=timeout, **options) as connected:
        talker = Talker(connected)
        first = await connected.receive()
        if first.type is aiohttp.WSMsgType.TEXT:
            talker.told.append(json.loads(first.data))
        yield talker


async def refusal(gateway: Gateway, url: str = STREAM + SECOND, **options: Any) -> tuple[int, dict[str, Any], Any]:
    """What the door answers instead of opening: status, error, headers."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **options.pop("headers", {})}
    async with gateway.client.get(url, headers=headers, **options) as reply:
        return reply.status, (await reply.json())["error"], reply.headers


def counted(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of a counter over the labels that are not given."""
    metrics = gateway.app[TELEMETRY].registry.collect()
    samples = [sample for metric in metrics for sample in metric.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


async def nothing_is_left(gateway: Gateway) -> None:
    """Waits until every count is back at zero, exactly."""
    registry, admission = gateway.app[LIVE], gateway.app[ADMISSION]

    def counts() -> tuple[int, ...]:
        budget = registry.shared.budget
        named = sum(task.get_name().startswith("sess_") for task in asyncio.all_tasks())
        waiting = (admission.sessions, admission.waiting, admission.in_flight, gateway.backend.in_flight)
        return (len(registry), registry.seats, registry.callers, budget.held_bytes, named, *waiting)

    await eventually(lambda: not any(counts()))


PING, PONG = 9, 10


class RawTalker:
    """A client that speaks WebSocket by hand, so that it can break every rule."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.close_reason = ""

    async def send(self, opcode: int, payload: bytes, *, first_bits: int = 0x80, mask: bool = True) -> None:
        """One frame; the mask, where there is one, changes nothing."""
        length = len(payload)
        sizes = bytes([length]) if length < 126 else b"\x7f" + length.to_bytes(8, "big")
        head = bytes([first_bits | opcode, sizes[0] | (0x80 if mask else 0)]) + sizes[1:]
        self.writer.write(head + (bytes(4) if mask else b"") + payload)
        await self.writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises IncompleteReadError at the end."""
        first, length = await self.reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2), "big")
        return first & 15, await self.reader.readexactly(length)

    async def pings(self, count: int) -> None:
        """Reads until so many pings came, and answers them."""
        while count:
            opcode, payload = await self.receive()
            if opcode == PING:
                count -= 1
                # Without waiting for one who does not read.
                self.writer.write(bytes([0x80 | PONG, 0x80 | len(payload)]) + bytes(4) + payload)

    async def told(self) -> tuple[list[dict[str, Any]], int | None]:
        """Every message to the end, and the close code if there is one."""
        messages: list[dict[str, Any]] = []
        while True:
            try:
                opcode, payload = await self.receive()
            except (asyncio.IncompleteReadError, ConnectionError):
                return messages, None
            if opcode == 8:
                self.close_reason = payload[2:].decode()
                return messages, int.from_bytes(payload[:2], "big")
            if opcode == 1:
                messages.append(json.loads(payload))


@asynccontextmanager
async def talking_raw(gateway: Gateway, url: str = STREAM + SECOND) -> AsyncIterator[RawTalker]:
    """An upgraded connection of which nothing was read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(
            f"GET {url} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield RawTalker(reader, writer)
    finally:
        writer.close()
