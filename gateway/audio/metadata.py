"""Hides metadata from FFmpeg, which takes memory and time out of proportion for what is never used here."""

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

from gateway.audio.ogg_links import pages
from gateway.audio.view import Rewrite, View, bytes_at
from gateway.core.errors import BadAudio

MAX_TAGS = 64
MAX_PARTS = 4_096
MAX_COMMENTS = 4_096
MAX_VENDOR_BYTES = 4_096
MAX_STREAMS = 64

_ID3_HEAD_BYTES = 10
_ID3_FOOTER = 0x10
# Between frames of aac, tags are read too. The byte behind these three is the version.
_ID3 = re.compile(rb"ID3(?=[\2-\4][^\xff].[\0-\x7f]{4})", re.DOTALL)
# FFmpeg skips tags of a version that it does not know.
_UNKNOWN_VERSION = 5
_NO_VERSION = 0xFF

_FLAC_HEAD_BYTES = 4
_FLAC_LAST, _FLAC_STREAMINFO, _FLAC_PADDING = 0x80, 0, 1

_CHUNK_HEAD_BYTES = 8
_WAV_KEPT = (b"fmt ", b"data", b"ds64", b"fact", b"JUNK")
_STREAMED_BYTES = (0, 0xFFFFFFFF)
# How many bits of a sample mean something is no metadata, but FFmpeg takes it for the sample's width.
_EXTENSIBLE_BYTES, _BITS_AT, _VALID_BITS_AT = 40, 22, 26

_EBML = b"\x1aE\xdf\xa3"
# SeekHead, Chapters, Tags, Attachments, Cues. No one's first byte is in another: they can't overlap.
_MATROSKA_HIDDEN = tuple(map(bytes.fromhex, ("114d9b74", "1043a770", "1254c367", "1941a469", "1c53bb6b")))
_MATROSKA_TRACKS = bytes.fromhex("1654ae6b")
# It has the heads of codecs, and lists whose every 3 bytes take a hundred.
MAX_TRACKS_BYTES = 1 << 20
_VOID = b"\xec"

_FULL_SEGMENT_BYTES = 255
# Where in a stream's second packet the comments begin, by the beginning of the first. Others have none.
_COMMENTS_AT = {
    **{b"OpusHead": 8, b"\x7fFLAC": 4, b"Speex   ": 0, b"CELT    ": 0, b"\x80daala": 6},
    **dict.fromkeys((b"\1vorbis", b"\x80theora", b"OVP80", b"\1"), 7),
}

_APE_FOOTER_BYTES = 32
_APE = b"APETAGEX"


def without_metadata(file: BinaryIO) -> BinaryIO:
    """A view of a seekable file that sounds the same; nothing but the few bytes that hide metadata differs.

    What is damaged is left for FFmpeg to judge. Raises BadAudio for thousands of parts, and what `file` raises.
    """
    start = _after_id3(file)
    head = bytes_at(file, start, 12)
    rewrite: Rewrite | None = _hide_id3
    patches: dict[int, bytes] = {}
    if head.startswith(b"fLaC"):
        patches = dict(_limited(_flac_patches(file, start + 4)))
    elif head[8:] == b"WAVE" and head[:4] in (b"RIFF", b"RF64", b"BW64"):
        # Nothing but FFmpeg's wav reader takes it, which looks for nothing between samples.
        rewrite, patches = None, dict(_limited(_wav_patches(file, start)))
    elif head.startswith(_EBML):
        rewrite = _hide_elements
    elif head.startswith(b"OggS"):
        _refuse_many_comments(file, start)
    else:
        patches = _ape_patches(file)
    return cast(BinaryIO, View(file, start, patches=patches, rewrite=rewrite))


def _limited(patches: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for parts, patch in enumerate(patches):
        if parts == MAX_PARTS:
            raise _too_much()
        yield patch


def _too_much() -> BadAudio:
    return BadAudio("The file has too much metadata.", param="file")


def _after_id3(file: BinaryIO) -> int:
    """Where the audio begins. ID3v2.4, 3.1: seven bits of each byte of the size count."""
    at = 0
    for _ in range(MAX_TAGS):
        head = bytes_at(file, at, _ID3_HEAD_BYTES)
        if len(head) < _ID3_HEAD_BYTES or head[:3] != b"ID3" or _NO_VERSION in head[3:5] or not head[6:].isascii():
            return at
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte
        at += _ID3_HEAD_BYTES + size + (_ID3_HEAD_BYTES if head[5] & _ID3_FOOTER else 0)
    raise _too_much()


def _hide_id3(data: bytes) -> bytes:
    if b"ID3" not in data:
        return data
    hidden = bytearray(data)
    for tag in _ID3.finditer(data):
        hidden[tag.end()] = _UNKNOWN_VERSION
    return bytes(hidden)


def _flac_patches(file: BinaryIO, at: int) -> Iterator[tuple[int, bytes]]:
    """Makes padding of every block but STREAMINFO: RFC 9639, 8.1."""
    kind = 0
    while not kind & _FLAC_LAST:
        head = bytes_at(file, at, _FLAC_HEAD_BYTES)
        if len(head) < _FLAC_HEAD_BYTES:
            return
        kind = head[0]
        is_kept = kind & ~_FLAC_LAST == _FLAC_STREAMINFO
        yield at, bytes([kind if is_kept else kind & _FLAC_LAST | _FLAC_PADDING])
        at += _FLAC_HEAD_BYTES + int.from_bytes(head[1:], "big")


def _wav_patches(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """Renames the chunks that are neither format nor sound, behind the sound too where its size is known."""
    magic = bytes_at(file, start, 4)
    data_bytes: int | None = None
    at = start + 12
    while len(head := bytes_at(file, at, 28)) >= _CHUNK_HEAD_BYTES:
        name, size = struct.unpack_from("<4sI", head)
        yield at, name if name in _WAV_KEPT else b"JUNK"
        if name == b"fmt " and size >= _EXTENSIBLE_BYTES:
            yield at + _VALID_BITS_AT, head[_BITS_AT : _BITS_AT + 2]
        if at == start + 12 and name == b"ds64":
            data_bytes = int.from_bytes(head[16:24], "little")
        elif name == b"data":
            if data_bytes is not None and magic in (b"RF64", b"BW64"):
                size = data_bytes
            elif size in _STREAMED_BYTES:
                return
        at += _CHUNK_HEAD_BYTES + size + size % 2


def _hide_elements(data: bytes) -> bytes:
    """Makes void elements of Matroska's, wherever they lie: FFmpeg finds them by name behind damage and by SeekHead.

    One place in 860 MB of sound looks like one by chance; a packet is damaged then.
    """
    found = [at for name in _MATROSKA_HIDDEN if name in data for at in _places(data, name)]
    found += [at for at in _places(data, _MATROSKA_TRACKS) if not 0 < _size(data[at : at + 12]) <= MAX_TRACKS_BYTES]
    found.sort()
    if not found:
        return _hide_id3(data)
    hidden = bytearray(data)
    # The first of two that overlap wins, wherever the window begins.
    for at in reversed(found):
        void = _void(data[at : at + 12])
        hidden[at : at + len(void)] = void
    return _hide_id3(bytes(hidden[: len(data)]))


def _places(data: bytes, name: bytes) -> Iterator[int]:
    at = data.find(name)
    while at >= 0:
        yield at
        at = data.find(name, at + len(name))


def _void(head: bytes) -> bytes:
    """A head as long as that of the element with a name of 4 bytes that `head` begins with, and of the same end.

    An unknown size ends at once; what lies inside means nothing at the place where it is found then. RFC 8794, 4.
    """
    size_bytes = _size_bytes(head)
    if len(head) < 4 + size_bytes:
        return _VOID + b"\x82"
    size = _size(head)
    void_bytes = min(8, 3 + size_bytes)
    size = min(size + 3 + size_bytes - void_bytes, (1 << 7 * void_bytes) - 2)
    return _VOID + (size | (1 << 7 * void_bytes)).to_bytes(void_bytes, "big")


def _size_bytes(head: bytes) -> int:
    return 9 - head[4:5].ljust(1, b"\0")[0].bit_length()


def _size(head: bytes) -> int:
    """The size of the element with a name of 4 bytes that `head` begins with, 0 where it is unknown."""
    size_bytes = _size_bytes(head)
    size = int.from_bytes(head[4 : 4 + size_bytes], "big") ^ (1 << 7 * size_bytes)
    return 0 if size == (1 << 7 * size_bytes) - 1 else size


def _ape_patches(file: BinaryIO) -> dict[int, bytes]:
    at = file.seek(0, io.SEEK_END) - _APE_FOOTER_BYTES
    if at < 0 or bytes_at(file, at, len(_APE)) != _APE:
        return {}
    return {at: bytes(len(_APE))}


def _refuse_many_comments(file: BinaryIO, start: int) -> None:
    """The time they take is the square of their number, in each stream. RFC 3533, 6, and Vorbis I, 5."""
    cost = 0
    for kind, packet in _second_packets(file, start):
        at = next((size for magic, size in _COMMENTS_AT.items() if kind.startswith(magic)), None)
        if at is None:
            continue
        vendor_bytes = int.from_bytes(packet[at : at + 4], "little")
        at += 4 + vendor_bytes
        cost += int.from_bytes(packet[at : at + 4], "little") ** 2
        if cost > MAX_COMMENTS**2 or at > MAX_VENDOR_BYTES:
            raise _too_much()


def _second_packets(file: BinaryIO, start: int) -> Iterator[tuple[bytes, bytes]]:
    """How the first packet of each logical stream begins, and how the second does."""
    heads: dict[int, bytes] = {}
    seconds: dict[int, bytes] = {}
    for page in pages(file, start):
        serial, segments, at = page.serial, page.segments, page.body_start
        if page.is_first:
            heads[serial] = bytes_at(file, at, 8)
            seconds.pop(serial, None)
        if serial not in heads:
            continue
        if serial not in seconds:
            first_end = next((place for place, size in enumerate(segments, 1) if size < _FULL_SEGMENT_BYTES), None)
            if first_end is None:
                continue
            at += sum(segments[:first_end])
            seconds[serial], segments = b"", segments[first_end:]
        wanted_bytes = 2 * MAX_VENDOR_BYTES - len(seconds[serial])
        seconds[serial] += bytes_at(file, at, min(sum(segments), wanted_bytes))
        if len(seconds[serial]) >= 2 * MAX_VENDOR_BYTES or any(size < _FULL_SEGMENT_BYTES for size in segments):
            yield heads.pop(serial), seconds.pop(serial)
        elif len(heads) > MAX_STREAMS:
            raise _too_much()
