"""Reads how many packets an mp4 file claims, before FFmpeg makes 24 bytes of memory out of each."""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from gateway.core.errors import BadAudio

# Four hours of video at 60 frames a second and its sound are 1.6 million packets; FFmpeg's index of 2 million is 48 MB.
MAX_PACKETS = 2_000_000
MAX_INDEX_BYTES = 64 << 20
MAX_BOXES = 100_000
MIN_BOX_BYTES = 8
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"udta")

_TABLES = re.compile(rb"stts|stsz|stz2|trun|cmov")


def is_mp4(head: bytes) -> bool:
    """Whether a file that begins with `head`, at least 8 bytes, is to be read as mp4."""
    return head[4:8] in FIRST_BOXES


def refuse_huge_index(file: BinaryIO) -> None:
    """Raises BadAudio for an index that can't be honest; reads all boxes but `mdat`, in bounded memory.

    The tables are looked for by name, not by place, as FFmpeg finds them at any depth. ISO/IEC 14496-12, 8.6 and 8.8.
    """
    packets = index_bytes = 0
    for boxes, box_bytes in enumerate(_boxes(file)):
        index_bytes += box_bytes
        if boxes < MAX_BOXES and index_bytes <= MAX_INDEX_BYTES:
            packets += _claimed_packets(file.read(box_bytes))
            if packets <= MAX_PACKETS:
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


def _claimed_packets(boxes: bytes) -> int:
    """The packets of all sample tables and fragment runs; a compressed index (`cmov`) counts as too many.

    Raw PCM's table counts samples (one entry of `stts`, each one tick long), which FFmpeg joins to packets by itself.
    """
    packets = 0
    counts_samples = False
    for table in _TABLES.finditer(boxes):
        large_size = boxes[max(0, table.start() - 4) : table.start()] == b"\0\0\0\1"
        start = table.end() + 8 * large_size
        fields = boxes[start : start + 16].ljust(16, b"\0")
        first, second, third = struct.unpack(">4x3I", fields)
        match table.group():
            case b"stts":
                counts_samples = (first, third) == (1, 1)
            case b"stsz" | b"stz2":
                packets += 0 if counts_samples else second
            case _ if fields[:4].isascii() and fields[:4].decode("ascii").isprintable():
                pass  # a word of a title, as in "trunk": flags are never letters
            case b"trun":
                packets += first
            case _:
                packets += MAX_PACKETS + 1
    return packets
