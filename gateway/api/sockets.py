"""The WebSockets of live sessions: how one is opened, read, written and closed, whatever is spoken over it."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web

from gateway.api.boundary import REQUEST_ID_HEADER
from gateway.api.half_close import HalfClose, watch_half_close
from gateway.api.keys import DRAINING, REQUEST_ID, SESSION_ID, SETTINGS, SOCKET, STOPPING, TELEMETRY
from gateway.api.replies import REPLIES
from gateway.core.errors import BadRequest, IdleTimeout, ShuttingDown, TritoneError
from gateway.core.live.effects import Errored
from gateway.live.outbox import Outbox, slow_reader
from gateway.live.session import LiveSession

_DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


class Door(Protocol):
    """What is particular to what one connection speaks. Where it is `resumable`, its client may come back."""

    live: LiveSession
    outbox: Outbox
    resumable: bool

    async def take(self, data: str | bytes) -> None:
        """Does what a message asks. A TritoneError ends the session, after all that it owes was told."""
        ...

    async def finish(self) -> None:
        """The client will send no more."""
        ...


# What aiohttp finds in a message that can't be read.
_UNREADABLE = {
    WSCloseCode.PROTOCOL_ERROR: "protocol_error",
    WSCloseCode.INVALID_TEXT: "invalid_utf8",
    WSCloseCode.MESSAGE_TOO_BIG: "message_too_big",
}
_CLOSE_CODES = {reason: code for code, reason in _UNREADABLE.items()}


class _Socket(web.WebSocketResponse):
    """A message that can't be read does not close it: first everything is told that is owed."""

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        # aiohttp gives no reason; we always do.
        if not message and code in _UNREADABLE:
            return False
        return await super().close(code=code, message=message, drain=drain)

    # Private to aiohttp, which has no other way to judge a missing pong.
    def _pong_not_received(self) -> None:
        """The pong of a client that reads was not seen where we have stopped reading, or can't read on."""
        assert self._req is not None
        assert self._reader is not None
        protocol = self._req.protocol
        deaf = protocol._reading_paused or self._reader.exception() is not None
        if deaf and not protocol.writing_paused:
            self._reset_heartbeat()
        else:
            super()._pong_not_received()

    def _handle_ping_pong_exception(self, exc: BaseException) -> None:
        if self._closed:
            return
        super()._handle_ping_pong_exception(exc)
        # aiohttp closes in order, and waits for a client that does not read.
        if self._req is not None and self._req.transport is not None:
            self._req.transport.abort()


def websocket(request: web.Request, *, protocols: Iterable[str] = ()) -> web.WebSocketResponse:
    """A socket for `request`, not yet opened: until `accept` an error is an HTTP answer.

    Raises BadRequest, ShuttingDown.
    """
    settings = request.app[SETTINGS]
    socket = _Socket(
        timeout=settings.close_timeout_s,
        autoclose=False,
        heartbeat=settings.heartbeat_s,
        protocols=protocols,
        compress=False,
        max_msg_size=settings.max_message_bytes,
    )
    if not socket.can_prepare(request):
        raise BadRequest("This route takes WebSocket connections.", code="websocket_required")
    if request.app[STOPPING].is_set():
        raise ShuttingDown("The service is stopping.")
    return socket


async def accept(request: web.Request, socket: web.WebSocketResponse) -> HalfClose:
    """Upgrades the connection. From now on errors are told over `socket`."""
    socket.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
    await socket.prepare(request)
    request[SOCKET] = socket
    return watch_half_close(request)


async def first_message(request: web.Request, socket: web.WebSocketResponse) -> str | bytes | None:
    """The message that a client sends of itself; None where it leaves instead. Raises IdleTimeout, BadRequest."""
    try:
        async with asyncio.timeout(request.app[SETTINGS].configure_timeout_s):
            message = await socket.receive()
    except TimeoutError:
        if request.app[DRAINING].is_set():
            raise ShuttingDown("The service is stopping.") from None
        raise IdleTimeout("The first message, `configure` or audio, did not come.") from None
    if isinstance(message.data, WebSocketError):
        raise _unreadable(message.data)
    return message.data if message.type in _DATA else None


async def refuse(request: web.Request, socket: web.WebSocketResponse, outbox: Outbox, error: TritoneError) -> None:
    """Ends a connection that has no session yet."""
    request.app[TELEMETRY].live.refused.labels(error.reason).inc()
    outbox.tell(Errored(error))
    outbox.close(error)
    await _write(request, socket, outbox)
    await _close(request, socket, error)


async def converse(
    request: web.Request,
    socket: web.WebSocketResponse,
    half: HalfClose,
    door: Door,
    *,
    first: str | bytes | None = None,
) -> None:
    """Reads and writes until the session is over or the client is gone, beginning with the message `first`.

    Leaves the session as it should be: ended, or waiting for its client to come back.
    """
    outbox, reason = door.outbox, "bug"
    request[SESSION_ID] = door.live.identity.id
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(socket, half, door, first))
            await _write(request, socket, outbox)
            reading.cancel()
        await _close(request, socket, outbox.error)
        # Whoever answers the close has heard it all.
        left = half.ended or socket.close_code == WSCloseCode.ABNORMAL_CLOSURE or not door.live.finished
        reason = outbox.error.reason if outbox.error else "client_left" if left else "closed"
    except asyncio.CancelledError:
        # The connection is gone: because of the client, or of the error that ended it.
        reason = outbox.error.reason if outbox.error else "client_left"
        raise
    finally:
        _leave(door, reason)


def _leave(door: Door, reason: str) -> None:
    live, outbox = door.live, door.outbox
    if reason == "client_left" and door.resumable and live.account.audio_ms:
        live.detach(outbox)
    elif live.belongs_to(outbox):
        live.end(reason)


async def _read(socket: web.WebSocketResponse, half: HalfClose, door: Door, first: str | bytes | None) -> None:
    """Until the client sends no more."""
    if first is not None:
        await _take(first, door)
    while True:
        try:
            message = await socket.receive()
        except ConnectionError:
            door.outbox.close()
            return
        if message.type not in _DATA:
            await _end(message, half, door)
            return
        await _take(message.data, door)
        # What has arrived already is given out without a pause: others want their turn, and the client its answers.
        await asyncio.sleep(0)


async def _take(data: str | bytes, door: Door) -> None:
    """What comes after the end of the session is not looked at."""
    if door.live.listens and door.live.belongs_to(door.outbox):
        try:
            await door.take(data)
        except TritoneError as error:
            door.live.finish(error)


async def _end(message: WSMessage, half: HalfClose, door: Door) -> None:
    """A close ends the session in order. A connection that just ends may be a broken one: its session stays."""
    if isinstance(message.data, WebSocketError):
        if door.live.belongs_to(door.outbox):
            door.live.finish(_unreadable(message.data))
    elif message.type is not WSMsgType.CLOSE:
        door.outbox.close()
    elif half.ended and door.resumable:
        if door.live.listens:
            await door.live.quiet()
            door.outbox.close()
    elif door.live.listens:
        try:
            await door.finish()
        except TritoneError as error:
            door.live.finish(error)


def _unreadable(error: WebSocketError) -> BadRequest:
    reason = _UNREADABLE.get(WSCloseCode(error.code), "protocol_error")
    return BadRequest(f"A message can't be read: {error}.", code=reason)


def _close_code(error: TritoneError | None) -> int:
    if error is None:
        return WSCloseCode.OK
    return _CLOSE_CODES.get(error.reason) or REPLIES[type(error)].close_code


async def _write(request: web.Request, socket: web.WebSocketResponse, outbox: Outbox) -> None:
    """Sends until the outbox is closed and empty, or the client is gone."""
    timeout_s = request.app[SETTINGS].send_timeout_s
    while (frame := await outbox.get()) is not None:
        try:
            async with asyncio.timeout(timeout_s):
                await socket.send_frame(frame, WSMsgType.TEXT)
        except TimeoutError:
            request.app[TELEMETRY].live.slow_readers.labels("send_timeout").inc()
            outbox.close(slow_reader())
            return
        except ConnectionError:
            return


async def _close(request: web.Request, socket: web.WebSocketResponse, error: TritoneError | None) -> None:
    code, reason = _close_code(error), error.reason if error else ""
    transport = request.transport
    try:
        async with asyncio.timeout(2 * request.app[SETTINGS].close_timeout_s):
            await socket.close(code=code, message=reason.encode())
    except TimeoutError:
        if transport is not None:
            transport.abort()
