"""A WebSocket that talks at real-time pace: plays one script to /v1/stream and notes what it is told when."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from gateway.core.audio import SAMPLE_RATE_HZ
from loadtests.conversation import Script
from loadtests.errors import BenchError
from loadtests.pacing import pieces

_SAMPLE_BYTES: Final = 2
# For what is still on its way when the last byte was sent.
_REST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """One message of the service; `at_s` counts from when the speaker's first sample was spoken."""

    at_s: float
    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything one speaker was told. `late_s` is how far its own sending was behind at worst."""

    script: Script
    told: tuple[Told, ...]
    late_s: float

    def of(self, kind: str) -> list[Told]:
        """The messages of a type."""
        return [told for told in self.told if told.message["type"] == kind]

    @property
    def text(self) -> str:
        """All finals."""
        return " ".join(told.message["text"] for told in self.of("final"))


async def speak(
    http: aiohttp.ClientSession, url: str, script: Script, query: Mapping[str, str], *, speed: float = 1.0
) -> Heard:
    """Plays the whole script, closes, and hears everything. Raises BenchError."""
    try:
        async with (
            asyncio.timeout(script.duration_s / speed + _REST_S),
            http.ws_connect(f"{url}/v1/stream", params=query, max_msg_size=0) as socket,
            asyncio.TaskGroup() as group,
        ):
            started_at_s = time.perf_counter()
            playing = group.create_task(_play(socket, script, started_at_s, speed))
            listening = group.create_task(_listen(socket, started_at_s))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise BenchError(f"/v1/stream: {type(error).__name__} {error}") from error
    except ExceptionGroup as failures:
        raise BenchError(f"/v1/stream: {failures.exceptions[0]!r}") from failures
    return Heard(script, listening.result(), playing.result())


async def _play(socket: aiohttp.ClientWebSocketResponse, script: Script, started_at_s: float, speed: float) -> float:
    data = script.samples.tobytes()
    late_s = 0.0
    for piece in pieces(len(data), bytes_per_s=SAMPLE_RATE_HZ * _SAMPLE_BYTES, speed=speed):
        due_at_s = started_at_s + piece.due_s
        await asyncio.sleep(due_at_s - time.perf_counter())
        late_s = max(late_s, time.perf_counter() - due_at_s)
        await socket.send_bytes(data[piece.start_byte : piece.end_byte])
    await socket.send_json({"type": "close"})
    return late_s


async def _listen(socket: aiohttp.ClientWebSocketResponse, started_at_s: float) -> tuple[Told, ...]:
    told = [Told(time.perf_counter() - started_at_s, orjson.loads(message.data)) async for message in socket]
    if socket.close_code != aiohttp.WSCloseCode.OK:
        raise BenchError(f"closed with {socket.close_code}")
    return tuple(told)
