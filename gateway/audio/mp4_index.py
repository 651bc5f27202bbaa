"""Reads how many packets an mp4 file claims, before FFmpeg makes 24 bytes of memory out of each."""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from gateway.core.errors import BadAudio

# Four hours of video at 60 frames a second and its sound are 1.6 million packets; FFmpeg's index of 2 million is 48 MB.
MAX_PACKETS = 2_000_000
MAX_INDEX_BYTES = 64 << 20
MAX_BOXES = 100_000
MAX_ITEMS = 4_096
MAX_TABLES = 20_000
MAX_TRACKS = 32
# Two hours in thirds of a second. Each takes 62 bytes for each track.
MAX_SEGMENTS = 21_600
MIN_BOX_BYTES = 8
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"udta")

_ITEM_LISTS = re.compile(rb"udta|ilst")
_TABLES = re.compile(rb"stts|stsz|stz2|trun|cmov|hdlr|elst|sidx")
_MEDIA_OTHER_THAN_SOUND = (b"vide", b"subp", b"clcp", b"text", b"sbtl")


def is_mp4(head: bytes) -> bool:
    """Whether a file that begins with `head`, at least 8 bytes, is to be read as mp4."""
    return head[4:8] in FIRST_BOXES


@dataclass(slots=True)
class _Claims:
    """What FFmpeg would hold of the boxes seen so far: FFmpeg reads no run before a `tfhd`, where titles stand."""

    packets: int = 0
    # Each may repeat all packets of its track.
    edits: int = 1
    segments: int = 0
    items: int = 0
    in_fragment: bool = False

    @property
    def honest(self) -> bool:
        """Whether all that is bounded."""
        return self.packets * self.edits <= MAX_PACKETS and self.segments <= MAX_SEGMENTS and self.items <= MAX_ITEMS


def refuse_huge_index(file: BinaryIO) -> None:
    """Raises BadAudio for an index that can't be honest; reads all boxes but `mdat`, in bounded memory.

    The tables are looked for by name, not by place, as FFmpeg finds them at any depth. ISO/IEC 14496-12, 8.6, 8.8 and
    8.16.
    """
    claims = _Claims()
    index_bytes = 0
    for boxes, box_bytes in enumerate(_boxes(file)):
        index_bytes += box_bytes
        if boxes < MAX_BOXES and index_bytes <= MAX_INDEX_BYTES:
            read = file.read(box_bytes)
            claims.in_fragment = claims.in_fragment or b"tfhd" in read
            claims.items += sum(1 for _ in islice(_items(read), MAX_ITEMS + 1))
            _count(read, claims)
            if claims.honest:
                continue
        raise BadAudio("The file's index is too large for audio.", param="file")


def _boxes(file: BinaryIO) -> Iterator[int]:
    """Yields the length of each top-level box, 0 for media; the file stands at its beginning then."""
    end = file.seek(0, 2)
    start = 0
    while start < end:
        file.seek(start)
        size, name, large_size = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        if size == 1:
            size = large_size
        elif size == 0:
            size = end - start
        if size < MIN_BOX_BYTES:
            return
        file.seek(start)
        yield 0 if name == b"mdat" else min(size, end - start)
        start += size


def _count(boxes: bytes, claims: _Claims) -> None:
    """Adds what the sample tables, runs and lists in `boxes` claim; a compressed index (`cmov`) is too many packets."""
    # Looking costs time as well, and honest files have some dozens.
    tables = list(islice(_TABLES.finditer(boxes), MAX_TABLES + 1))
    if len(tables) > MAX_TABLES:
        claims.packets += MAX_PACKETS + 1
        return
    joined, pictures = _joined_tracks(boxes), list(islice(_pictures(boxes), MAX_ITEMS))
    joined_starts, picture_starts = ([place.start for place in places] for places in (joined, pictures))
    for table in tables:
        is_joined = table.group() in (b"stsz", b"stz2") and _lies_in(table.start(), joined, joined_starts)
        if not is_joined and not _lies_in(table.start(), pictures, picture_starts):
            _add(boxes, table, claims)


def _lies_in(at: int, places: list[range], starts: list[int]) -> bool:
    """Whether it lies in one of `places`, which follow each other."""
    before = bisect_right(starts, at) - 1
    return before >= 0 and at in places[before]


def _add(boxes: bytes, table: re.Match[bytes], claims: _Claims) -> None:
    match table.group():
        case b"stsz" | b"stz2":
            claims.packets += _fields(boxes, table)[2]
        case b"trun" if claims.in_fragment or not _is_word(boxes, table):
            claims.packets += _fields(boxes, table)[1]
        case b"cmov" if not _is_word(boxes, table):
            claims.packets += MAX_PACKETS + 1
        case b"elst" if not _is_word(boxes, table):
            claims.edits = max(claims.edits, _fields(boxes, table)[1])
        case b"sidx" if not _is_word(boxes, table):
            claims.segments += _segments(boxes, table)


def _fields(boxes: bytes, table: re.Match[bytes]) -> tuple[int, int, int, int]:
    """What stands first in a table: version and flags, and three numbers."""
    has_large_size = boxes[max(0, table.start() - 4) : table.start()] == b"\0\0\0\1"
    start = table.end() + 8 * has_large_size
    first, second, third, fourth = struct.unpack(">4I", boxes[start : start + 16].ljust(16, b"\0"))
    return first, second, third, fourth


def _segments(boxes: bytes, sidx: re.Match[bytes]) -> int:
    """The entries of a segment index, whose first fields are twice as long from version 1 on."""
    first, *_ = _fields(boxes, sidx)
    at = sidx.end() + (30 if first >> 24 else 22)
    return int.from_bytes(boxes[at : at + 2], "big")


def _is_word(boxes: bytes, table: re.Match[bytes]) -> bool:
    """Whether it's a word of a title, as in "trunk": letters follow, and what is in front is no size."""
    size = int.from_bytes(boxes[max(0, table.start() - 4) : table.start()], "big")
    flags = boxes[table.end() : table.end() + 4]
    is_text = flags.isascii() and flags.decode("ascii").isprintable()
    fits = size <= 1 or MIN_BOX_BYTES <= size <= len(boxes) - table.start() + 4
    return is_text and not fits and b"dcom" not in boxes[table.end() : table.end() + 16]


def _joined_tracks(boxes: bytes) -> list[range]:
    """Where the tracks lie whose samples FFmpeg joins to packets by itself: sound, each sample one tick long.

    That is raw PCM, with one entry in `stts`. Anything unclear about such a track leaves it out.
    """
    joined = []
    for moov in _children(boxes, range(len(boxes)), b"moov"):
        for trak in _children(boxes, moov, b"trak"):
            handlers = [hdlr for mdia in _children(boxes, trak, b"mdia") for hdlr in _children(boxes, mdia, b"hdlr")]
            tables = list(_TABLES.finditer(boxes, trak.start, trak.stop))
            kinds = [boxes[table.end() + 8 : table.end() + 12] for table in tables if table.group() == b"hdlr"]
            ticks = [_fields(boxes, table)[1::2] for table in tables if table.group() == b"stts"]
            is_sound = [boxes[hdlr.start + 8 : hdlr.start + 12] for hdlr in handlers] == [b"soun"]
            if is_sound and set(ticks) == {(1, 1)} and not set(kinds).intersection(_MEDIA_OTHER_THAN_SOUND):
                joined.append(trak)
    return joined


def _pictures(boxes: bytes) -> Iterator[range]:
    """Covers, in whose bytes FFmpeg looks for no box. In `meta` it begins at the `hdlr` that it finds in steps of 4."""
    for moov in _children(boxes, range(len(boxes)), b"moov"):
        for udta in _children(boxes, moov, b"udta"):
            for meta in _children(boxes, udta, b"meta"):
                words = range(meta.start, meta.stop - 4, 4)
                handler = next((at for at in words if boxes[at : at + 4] == b"hdlr"), meta.stop)
                for ilst in _children(boxes, range(handler - 4, meta.stop), b"ilst"):
                    yield from _children(boxes, ilst, b"covr")


def _children(boxes: bytes, parent: range, name: bytes) -> Iterator[range]:
    """The contents of the boxes of a `name` that lie directly in the `parent`."""
    at = parent.start
    for _ in range(MAX_BOXES):
        if at + MIN_BOX_BYTES > parent.stop:
            return
        size, child = struct.unpack_from(">I4s", boxes, at)
        if not MIN_BOX_BYTES <= size <= parent.stop - at:
            return
        if child == name:
            yield range(at + MIN_BOX_BYTES, at + size)
        at += size


def _items(boxes: bytes) -> Iterator[int]:
    """Where the titles and the like stand that FFmpeg keeps, for which it takes the square of their number in time."""
    for lists, items in enumerate(_ITEM_LISTS.finditer(boxes)):
        if lists > MAX_ITEMS:
            yield from range(MAX_ITEMS + 1)
        start = items.start() - 4
        list_bytes = int.from_bytes(boxes[max(0, start) : items.start()], "big")
        at, end = items.end(), start + list_bytes if list_bytes >= MIN_BOX_BYTES else len(boxes)
        while at + MIN_BOX_BYTES <= min(end, len(boxes)):
            yield at
            size, large_size = struct.unpack(">I4xQ", boxes[at : at + 16].ljust(16, b"\0"))
            size = large_size if size == 1 else size
            if size < MIN_BOX_BYTES:
                break
            at += size
