"""Takes Opus packets out of a WebM stream that comes in pieces of any length: RFC 8794 and RFC 9559."""

from collections.abc import Iterator

from gateway.audio.opus_head import MAX_PACKET_BYTES, OpusHead, parse_head
from gateway.core.errors import BadAudio, UnsupportedAudio

EBML, VOID = 0x1A45DFA3, 0xEC
SEGMENT, TRACKS, CLUSTER, BLOCK_GROUP = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xA0
TRACK_ENTRY, TRACK_NUMBER, CODEC_ID, CODEC_PRIVATE, CONTENT_ENCODINGS = 0xAE, 0xD7, 0x86, 0x63A2, 0x6D80
SIMPLE_BLOCK, BLOCK = 0xA3, 0xA1
# Whose content is read as if it stood beside them: their sizes, mostly unknown while recording, don't matter then.
OPENED = frozenset({SEGMENT, TRACKS, CLUSTER, BLOCK_GROUP})
KEPT = frozenset({EBML, TRACK_ENTRY, SIMPLE_BLOCK, BLOCK})
MAX_ID_BYTES, MAX_SIZE_BYTES = 4, 8
# A block's track number, time and flags.
MAX_BLOCK_HEAD_BYTES = 11
MAX_KEPT_BYTES = MAX_PACKET_BYTES + MAX_BLOCK_HEAD_BYTES
LACING = 0x06


class WebmDemuxer:
    """Keeps to the first Opus track, also where others run beside it; a new EBML header begins a new stream.

    Holds one element at most, 61 kB; what is longer can't be of use and is skipped as it comes in.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipped_bytes = 0
        self._track: int | None = None

    def push(self, data: bytes) -> Iterator[OpusHead | bytes]:
        """The packets that `data` completes, and the header in front of them. Raises BadAudio, UnsupportedAudio."""
        self._rest += data
        while element := self._take_element():
            name, content = element
            if name in (SIMPLE_BLOCK, BLOCK):
                yield from self._packet(content)
            elif name == TRACK_ENTRY:
                yield from self._begin(content)
            elif name == EBML:
                self._track = None
            elif name == CLUSTER and self._track is None:
                raise UnsupportedAudio("The WebM stream has no Opus track.", param="audio")

    def _take_element(self) -> tuple[int, bytes] | None:
        """Cuts an element off the front, where there is a whole one: its name and, of those that are KEPT, content."""
        skipped_bytes = min(self._skipped_bytes, len(self._rest))
        del self._rest[:skipped_bytes]
        self._skipped_bytes -= skipped_bytes
        head = _element_head(self._rest, 0)
        if head is None:
            return None
        name, size_bytes, at = head
        if name in OPENED:
            size_bytes = 0
        elif size_bytes is None:
            raise _damaged()
        elif name not in KEPT or size_bytes > MAX_KEPT_BYTES:
            name, self._skipped_bytes, size_bytes = VOID, size_bytes, 0
        end = at + size_bytes
        if len(self._rest) < end:
            return None
        content = bytes(self._rest[at:end])
        del self._rest[:end]
        return name, content

    def _begin(self, track_entry: bytes) -> Iterator[OpusHead]:
        fields = dict(_children(track_entry))
        if self._track is not None or fields.get(CODEC_ID, b"").rstrip(b"\0") != b"A_OPUS":
            return
        if CONTENT_ENCODINGS in fields:
            raise UnsupportedAudio("The WebM stream's track is compressed once more, or encrypted.", param="audio")
        self._track = int.from_bytes(fields.get(TRACK_NUMBER, b""), "big")
        yield parse_head(fields.get(CODEC_PRIVATE, b""))

    def _packet(self, block: bytes) -> Iterator[bytes]:
        number = _vint(block, 0, MAX_SIZE_BYTES)
        if number is None or len(block) < number[1] + 3:
            raise _damaged()
        track, at = number
        if track != self._track:
            return
        if block[at + 2] & LACING:
            raise UnsupportedAudio("The WebM stream has several packets in a block.", param="audio")
        if len(block) > at + 3:
            yield block[at + 3 :]


def _damaged() -> BadAudio:
    return BadAudio("The WebM stream is damaged.", param="audio")


def _element_head(data: bytes | bytearray, at: int) -> tuple[int, int | None, int] | None:
    """The element at `at`: its name, its size in bytes if that is known, where its content begins. None: incomplete."""
    name = _vint(data, at, MAX_ID_BYTES)
    size = name and _vint(data, name[1], MAX_SIZE_BYTES)
    if not name or not size:
        return None
    (_, size_at), (size_bytes, content_at) = name, size
    unknown = size_bytes == (1 << 7 * (content_at - size_at)) - 1
    return int.from_bytes(data[at:size_at], "big"), None if unknown else size_bytes, content_at


def _children(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Name and content of all elements in one that is complete."""
    at = 0
    while at < len(content):
        head = _element_head(content, at)
        if head is None or head[1] is None or len(content) < head[2] + head[1]:
            raise _damaged()
        name, size_bytes, at = head[0], head[1], head[2]
        yield name, content[at : at + size_bytes]
        at += size_bytes


def _vint(data: bytes | bytearray, at: int, max_bytes: int) -> tuple[int, int] | None:
    """The number at `at` without its length marker, and where it ends. RFC 8794, 4. None: incomplete."""
    if at >= len(data):
        return None
    length_bytes = 9 - data[at].bit_length()
    if length_bytes > max_bytes:
        raise _damaged()
    end = at + length_bytes
    if len(data) < end:
        return None
    return int.from_bytes(data[at:end], "big") ^ (1 << 7 * length_bytes), end
