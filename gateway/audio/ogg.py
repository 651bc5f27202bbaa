"""Takes Opus packets out of an Ogg stream that comes in pieces of any length: RFC 3533 and RFC 7845."""

import struct
import zlib
from collections.abc import Iterator

from gateway.audio.opus_head import MAGIC, MAX_PACKET_BYTES, OpusHead, parse_head
from gateway.core.errors import BadAudio, UnsupportedAudio

CAPTURE = b"OggS"
CONTINUED, FIRST = 1, 2
FULL_SEGMENT_BYTES = 255

# Flags, serial number, checksum, number of segments.
_HEADER = struct.Struct("<5xB8xI4xIB")
_NO_CHECKSUM = bytes(4)
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggDemuxer:
    """Keeps to the first Opus stream, also where others run beside it; a chained one takes its place.

    Holds a page and a packet at most, 127 kB. What is no page where one must begin, a page with a wrong checksum and a
    packet without its end are BadAudio: connections lose nothing, so there is nothing to recover from.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._packet = bytearray()
        self._serial: int | None = None
        self._heads_over = False
        self._tags_over = False
        self._in_packet = False

    def push(self, data: bytes) -> Iterator[OpusHead | bytes]:
        """The packets that `data` completes, and the header in front of them. Raises BadAudio, UnsupportedAudio."""
        self._rest += data
        while page := self._take_page():
            flags, serial, _, segments = _HEADER.unpack_from(page)
            lengths = page[_HEADER.size : _HEADER.size + segments]
            body = page[_HEADER.size + segments :]
            if flags & FIRST:
                yield from self._begin(serial, body)
                continue
            self._heads_over = True
            if self._serial is None:
                raise UnsupportedAudio("The Ogg stream has no Opus track.", param="audio")
            if serial == self._serial:
                yield from self._packets(flags, lengths, body)

    def _take_page(self) -> bytes | None:
        """Cuts a page off the front, where there is a whole one."""
        if not CAPTURE.startswith(self._rest[: len(CAPTURE)]):
            raise BadAudio("The Ogg stream is damaged: no page begins where one must.", param="audio")
        if len(self._rest) < _HEADER.size:
            return None
        _, _, checksum, segments = _HEADER.unpack_from(self._rest)
        end = _HEADER.size + segments + sum(self._rest[_HEADER.size : _HEADER.size + segments])
        if len(self._rest) < end:
            return None
        page = bytes(self._rest[:end])
        del self._rest[:end]
        if _checksum(page) != checksum:
            raise BadAudio("The Ogg stream is damaged: the checksum of a page is wrong.", param="audio")
        return page

    def _begin(self, serial: int, body: bytes) -> Iterator[OpusHead]:
        """Takes the first page of a stream. The first pages of all come before the others, or start a new link."""
        if self._heads_over:
            self._serial, self._heads_over = None, False
        if self._serial is None and body.startswith(MAGIC):
            self._serial, self._tags_over, self._in_packet = serial, False, False
            self._packet.clear()
            yield parse_head(body)

    def _packets(self, flags: int, lengths: bytes, body: bytes) -> Iterator[bytes]:
        """The packets that end on this page, without the tags, which are never kept."""
        if bool(flags & CONTINUED) is not self._in_packet:
            raise BadAudio("The Ogg stream is damaged: a page is missing.", param="audio")
        at = 0
        for length in lengths:
            if self._tags_over:
                self._packet += body[at : at + length]
                if len(self._packet) > MAX_PACKET_BYTES:
                    raise BadAudio("The Ogg stream is damaged: a packet is too long for Opus.", param="audio")
            at += length
            self._in_packet = length == FULL_SEGMENT_BYTES
            if self._in_packet:
                continue
            self._tags_over = True
            if self._packet:
                yield bytes(self._packet)
                self._packet.clear()


def _checksum(page: bytes) -> int:
    """RFC 3533, 6: CRC-32 from the top bit down, which is zlib's on mirrored bits, of a page without its checksum."""
    mirrored = (page[:22] + _NO_CHECKSUM + page[26:]).translate(_MIRRORED)
    crc = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_MIRRORED), "big")
