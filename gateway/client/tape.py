"""What was recorded and is not sent yet, and the last of what was, in case the connection breaks."""

import asyncio
from typing import Final

from gateway.core.audio import SAMPLE_RATE_HZ

SAMPLE_BYTES: Final = 2
BYTES_PER_S: Final = SAMPLE_RATE_HZ * SAMPLE_BYTES
# More than a session holds without an answer, so that a service always finds what it has not received.
KEPT_BYTES: Final = 60 * BYTES_PER_S
AHEAD_BYTES: Final = 60 * BYTES_PER_S
PIECE_BYTES: Final = BYTES_PER_S // 10


class Tape:
    """One writes, one reads; positions are bytes from the beginning. Bounded: whoever writes waits for room."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._first = 0
        self._position = 0
        self._ended = False
        self._changed = asyncio.Condition()

    async def put(self, data: bytes) -> None:
        """Writes at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._unread < AHEAD_BYTES)
            self._data += data
            self._changed.notify_all()

    async def end(self) -> None:
        """There will be no more."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def take(self) -> bytes:
        """The next piece of whole samples; empty at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._unread >= SAMPLE_BYTES or self._ended)
            start = self._position - self._first
            size = min(PIECE_BYTES, self._unread) // SAMPLE_BYTES * SAMPLE_BYTES
            piece = bytes(self._data[start : start + size])
            self._position += size
            if (spare := start + size - KEPT_BYTES) > 0:
                del self._data[:spare]
                self._first += spare
            self._changed.notify_all()
            return piece

    def rewind(self, position: int) -> int:
        """Goes back to `position`, or as far as the tape goes; returns how many bytes are missing."""
        self._position = min(max(position, self._first), self._first + len(self._data))
        return max(0, self._first - position)

    @property
    def _unread(self) -> int:
        return self._first + len(self._data) - self._position
