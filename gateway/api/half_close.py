"""Keeps the way to a client open that has closed its own side of the connection."""

import asyncio
from typing import cast

from aiohttp import web

# A masked, empty Close frame: to aiohttp the client's end of sending looks like a close, in order with what it sent.
_CLOSE_FRAME = b"\x88\x80\0\0\0\0"


class HalfClose(asyncio.Protocol):
    """Stands before aiohttp's own protocol, which would close the whole connection, last words and all."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self.ended = False
        self.data_received = inner.data_received  # type: ignore[method-assign]  # the hot path: no call in between
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]  # as above
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]  # as above
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]  # as above

    def eof_received(self) -> bool:
        """The client will send no more. True: it may still read."""
        if not self.ended:
            self.ended = True
            self.data_received(_CLOSE_FRAME)
        return True


def watch_half_close(request: web.Request) -> HalfClose:
    """Watches the connection of an upgraded request from now on. Raises ConnectionResetError if it is gone."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client left during the upgrade")
    watch = HalfClose(cast(asyncio.Protocol, transport.get_protocol()))
    transport.set_protocol(watch)
    return watch
