"""Shows a part of a seekable file as a file of its own, with some bytes other than they are."""

import io
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import BinaryIO

# What a rewrite looks for may begin or end this far beyond both ends of what is read.
MARGIN_BYTES = 16

Rewrite = Callable[[bytes], bytes]


class View(io.RawIOBase):
    """What lies from `start` to `end`, or to the end of `file`.

    `rewrite` keeps the length of what it is given; `patches` (where in the file, what) are laid over it.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        end: int | None = None,
        *,
        patches: Mapping[int, bytes] | None = None,
        rewrite: Rewrite | None = None,
    ) -> None:
        self._file = file
        self._start = start
        self._end = end
        self._patches = patches or {}
        self._offsets = sorted(self._patches)
        self._longest_bytes = max(map(len, self._patches.values()), default=0)
        self._rewrite = rewrite
        self._at = start

    def readable(self) -> bool:
        """As io.RawIOBase."""
        return True

    def seekable(self) -> bool:
        """As io.RawIOBase."""
        return True

    def tell(self) -> int:
        """As io.RawIOBase."""
        return self._at - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As io.RawIOBase."""
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at}.get(whence)
        self._at = max(self._start, (self._last() if base is None else base) + offset)
        return self._at - self._start

    def read(self, size: int = -1, /) -> bytes:
        """As io.RawIOBase."""
        if size < 0 or self._end is not None:
            left = max(0, self._last() - self._at)
            size = left if size < 0 else min(size, left)
        if self._rewrite:
            before = min(MARGIN_BYTES, self._at - self._start)
            window = bytes_at(self._file, self._at - before, before + size + MARGIN_BYTES)
            data = self._rewrite(window)[before : before + size]
        else:
            data = bytes_at(self._file, self._at, size)
        data = self._patched(data)
        self._at += len(data)
        return data

    def _last(self) -> int:
        if self._end is not None:
            return self._end
        return max(self._start, self._file.seek(0, io.SEEK_END))

    def _patched(self, data: bytes) -> bytes:
        first = bisect_left(self._offsets, self._at - self._longest_bytes)
        offsets = self._offsets[first : bisect_left(self._offsets, self._at + len(data))]
        if not offsets:
            return data
        patched = bytearray(data)
        for offset in offsets:
            for at, byte in enumerate(self._patches[offset], offset - self._at):
                if 0 <= at < len(patched):
                    patched[at] = byte
        return bytes(patched)


def bytes_at(file: BinaryIO, at: int, size: int) -> bytes:
    """At most `size` bytes from there."""
    file.seek(at)
    return file.read(size)
