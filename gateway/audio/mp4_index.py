"""Reads how many packets an mp4 file claims, before FFmpeg makes 24 bytes of memory out of each."""

import re
import struct
from typing import BinaryIO

from gateway.core.errors import BadAudio

# Four hours of video at 60 frames a second and of its sound are 1.6 million packets; FFmpeg's index of 2 million is 48 MB.
MAX_PACKETS = 2_000_000
MAX_INDEX_BYTES = 64 << 20
MAX_BOXES = 100_000
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
    for content_bytes in _boxes_without_media(file):
        index_bytes += content_bytes
        if index_bytes > MAX_INDEX_BYTES:
            break
        packets += _claimed_packets(file.read(content_bytes))
        if packets > MAX_PACKETS:
            break
    else:
        return
    raise BadAudio("The file's index is too large for audio.", param="file")


def _boxes_without_media(file: BinaryIO) -> "Iterator[int]":
    """Yields the length of each top-level box that isn't `mdat`; the file stands at its content then."""
    end = file.seek(0, 2)
    start = 0
    for _ in range(MAX_BOXES):
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            return
        size, header_bytes = struct.unpack(">I", header[:4])[0], 8
        if size == 1 and len(header) == 16:
            size, header_bytes = struct.unpack(">Q", header[8:])[0], 16
        if size == 0:
            size = end - start
        if size < header_bytes:
            return
        if header[4:8] != b"mdat":
            file.seek(start + header_bytes)
            yield min(size, end - start) - header_bytes
        start += size
    raise BadAudio("The file's index is too large for audio.", param="file")


def _claimed_packets(content: bytes) -> int:
    """The packets of all sample tables and fragment runs.

    Raw PCM has one sample a packet, and FFmpeg joins them: 1,024 and more to a packet. A compressed index is refused.
    """
    packets = 0
    samples_a_packet = 1
    for table in _TABLES.finditer(content):
        fields = content[table.end() : table.end() + 12].ljust(12, b"\0")
        first, second, third = struct.unpack(">3I", fields)
        name = table.group()
        if name == b"stts":
            samples_a_packet = PCM_SAMPLES_A_PACKET if (second, third) == (1, _one_tick(content, table)) else 1
    return packets
