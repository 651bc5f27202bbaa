"""Divides a chained Ogg file into its links, each an Ogg file of its own: RFC 3533, 4 and 6."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from gateway.audio.ogg import CAPTURE, FIRST
from gateway.audio.view import View, bytes_at
from gateway.core.errors import BadAudio

MAX_LINKS = 4_096

_HEAD_BYTES = 27
_MAX_SEGMENTS = 255


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page and its body begin, whether it is the first of its logical stream, and how long its segments are."""

    start: int
    body_start: int
    serial: int
    is_first: bool
    segments: bytes


def pages(file: BinaryIO, at: int = 0) -> Iterator[Page]:
    """The pages from `at`, as far as one follows the other. The last may be cut off."""
    while (head := bytes_at(file, at, _HEAD_BYTES + _MAX_SEGMENTS)).startswith(CAPTURE) and len(head) > _HEAD_BYTES:
        segments = head[_HEAD_BYTES : _HEAD_BYTES + head[_HEAD_BYTES - 1]]
        body_start = at + _HEAD_BYTES + len(segments)
        yield Page(at, body_start, int.from_bytes(head[14:18], "big"), bool(head[5] & FIRST), segments)
        at = body_start + sum(segments)


def links(file: BinaryIO) -> Iterator[BinaryIO]:
    """One link after the other; a file of another format, or of one link, is itself.

    FFmpeg reads on only where the next link has the shape of the first. Raises BadAudio beyond MAX_LINKS.
    """
    start, heads_over, count = 0, False, 0
    for page in pages(file):
        if page.is_first and heads_over:
            count += 1
            if count == MAX_LINKS:
                raise BadAudio(f"The file is made of more than {MAX_LINKS} parts.", param="file")
            yield cast(BinaryIO, View(file, start, page.start))
            start = page.start
        heads_over = not page.is_first
    file.seek(0)
    yield cast(BinaryIO, View(file, start)) if start else file
