"""One live transcription over /v1/stream: audio out, texts in, and back again when the connection breaks."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import aiohttp

from gateway.client.service import CONNECT_TIMEOUT_S, Service, refusal
from gateway.client.tape import BYTES_PER_S, Tape
from gateway.remote import RefusedError

Message: TypeAlias = Mapping[str, Any]
Tell: TypeAlias = Callable[[Message], None]

# A service keeps the session of a broken connection for so long, by default.
GRACE_S: Final = 30.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 3.0
# A connection that does not even answer a ping is broken.
_HEARTBEAT_S: Final = 10.0
# A service ends a session of which it hears nothing for a minute, by default.
_KEEPALIVE_S: Final = 20.0


class Live:
    """Sends what is on the tape and tells every message. `stop` ends the audio; the texts still come."""

    def __init__(self, service: Service, options: Message, tell: Tell) -> None:
        self._service = service
        self._options = options
        self._tell = tell
        self._tape = Tape()
        self._reading: asyncio.Task[None] | None = None
        self._session: Message | None = None
        self._last_utterance = -1
        self._error: str | None = None
        self._closed: Message | None = None
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._in_real_time = False

    async def run(self, audio: AsyncIterator[bytes]) -> Message:
        """Transcribes it all; returns the session's own account. Raises RefusedError, and what `audio` raises."""
        async with self._service.connection() as http:
            try:
                async with asyncio.TaskGroup() as group:
                    self._reading = group.create_task(self._read(audio))
                    try:
                        return await self._converse(http)
                    finally:
                        self._reading.cancel()
            except ExceptionGroup as failures:
                raise _first(failures) from None

    def stop(self) -> None:
        """No more audio."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, audio: AsyncIterator[bytes]) -> None:
        try:
            async for data in audio:
                await self._tape.put(data)
        finally:
            await self._tape.end()

    async def _converse(self, http: aiohttp.ClientSession) -> Message:
        """Connects again and again until the session is closed, or nothing was heard for the grace time."""
        heard_at_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                await self._connect(http)
                heard_at_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
            except (aiohttp.ClientConnectionError, TimeoutError):
                if self._session is None or time.monotonic() - heard_at_s > GRACE_S:
                    raise
            if (account := self._account()) is not None:
                return account
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _account(self) -> Message | None:
        """The account of a session that has ended, None where the connection broke. Raises RefusedError."""
        if self._error:
            raise RefusedError(self._error)
        if self._session is None:
            raise RefusedError(f"{self._service.url} ended the connection before it began a session")
        return self._closed

    async def _connect(self, http: aiohttp.ClientSession) -> None:
        """One connection from its beginning to its end."""
        resume: dict[str, str] = {}
        if self._session is not None:
            names = ("session_id", "resume_token")
            resume = {name: self._session[name] for name in names} | {"last_utterance": str(self._last_utterance)}
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                socket = await http.ws_connect(
                    f"{self._service.url}/v1/stream", params=resume, heartbeat=_HEARTBEAT_S, max_msg_size=0
                )
            async with socket:
                if not resume:
                    await socket.send_json({"type": "configure", **self._options})
                await self._listen(socket)
        except aiohttp.WSServerHandshakeError as error:
            if resume and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise aiohttp.ClientConnectionError("the service is not ready") from None
            if resume and error.status == HTTPStatus.UNAUTHORIZED:
                raise RefusedError(
                    "the service no longer has this session: it was restarted, or the connection was away too long"
                ) from None
            raise refusal(error.status, error.headers.get("Retry-After") if error.headers else None) from None

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        sending: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                message = json.loads(frame.data)
                if message["type"] == "session.started":
                    sending = group.create_task(self._send(socket, message["received_until_ms"]))
                self._hear(message)
            if sending is not None:
                sending.cancel()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, received_until_ms: int) -> None:
        missing_bytes = self._tape.rewind(received_until_ms * BYTES_PER_S // 1000)
        if missing_bytes:
            self._tell({"type": "warning", "code": "audio_lost", "dropped_ms": missing_bytes * 1000 // BYTES_PER_S})
        self._may_send.set()
        # Whoever listens sees the end of the connection as well, and what the service said before it.
        with suppress(ConnectionError):
            while (piece := await self._next_piece()) != b"":
                if piece is None:
                    await socket.send_json({"type": "keepalive"})
                    continue
                await self._may_send.wait()
                await socket.send_bytes(piece)
                if self._in_real_time:
                    await asyncio.sleep(len(piece) / BYTES_PER_S)
            await socket.send_json({"type": "close"})

    async def _next_piece(self) -> bytes | None:
        """The next piece of the tape, empty at its end; None where there was nothing for a while."""
        try:
            # `take` does not wait any more once it has moved on: what is cancelled has taken nothing.
            async with asyncio.timeout(_KEEPALIVE_S):
                return await self._tape.take()
        except TimeoutError:
            return None

    def _hear(self, message: Message) -> None:
        match message["type"]:
            case "session.started":
                self._session = message
            case "final" | "failed":
                self._last_utterance = message["utterance"]
            case "backpressure":
                self._in_real_time = message["action"] == "slow_down"
                if message["action"] == "pause":
                    self._may_send.clear()
                else:
                    self._may_send.set()
            case "error":
                self._error = message["message"]
            case "session.closed":
                self._closed = message
        self._tell(message)


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
