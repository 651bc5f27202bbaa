"""A TCP proxy that can swallow everything that passes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK_BYTES = 65_536


class Proxy:
    """Passes bytes on to `target` (HOST:PORT) unless it is a `blackhole`: then they are read and lost.

    What was connected to a blackhole stays lost: nobody is told that it has gone.
    """

    def __init__(self, target: str) -> None:
        self.address = ""
        self.blackhole = False
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._ends: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways, until either side ends it."""
        to_reader, to_writer = await asyncio.open_connection(self._host, self._port)
        ends = {writer, to_writer}
        self._ends |= ends
        if self.blackhole:
            self._lost |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, to_writer))
                group.create_task(self._pass_on(to_reader, writer))
        except* ConnectionError:
            pass
        finally:
            self._ends -= ends
            self._lost -= ends
            for end in ends:
                end.transport.abort()

    def vanish(self) -> None:
        """Becomes a blackhole."""
        self.blackhole = True
        self._lost |= self._ends

    def restore(self) -> None:
        """Passes on again, over new connections."""
        self.blackhole = False

    def reset(self) -> None:
        """Resets every connection."""
        for end in self._ends:
            end.transport.abort()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK_BYTES):
            if sink not in self._lost:
                sink.write(data)
                await sink.drain()
        raise ConnectionResetError


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    """A proxy on a free port, until the block ends."""
    proxy = Proxy(target)
    listener = socket.create_server(("127.0.0.1", 0))
    proxy.address = f"127.0.0.1:{listener.getsockname()[1]}"
    server = await asyncio.start_server(proxy.serve, sock=listener)
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()
