"""What Ogg and WebM say of an Opus stream in the same words: its header, and how long a packet may be."""

from dataclasses import dataclass

from gateway.core.errors import BadAudio, UnsupportedAudio

MAGIC = b"OpusHead"
HEAD_BYTES = 19
MAX_VERSION = 15
MAX_CHANNELS = 2
# RFC 7845, 6.
MAX_PACKET_BYTES = 61_440


@dataclass(frozen=True, slots=True)
class OpusHead:
    """Begins a stream, or begins it anew. `mono` is its header for a decoder that makes one channel out of two."""

    mono: bytes


def parse_head(data: bytes) -> OpusHead:
    """RFC 7845, 5.1. Raises BadAudio for what is no header, UnsupportedAudio for other versions and more channels."""
    if len(data) < HEAD_BYTES or not data.startswith(MAGIC):
        raise BadAudio("The stream's Opus header is damaged.", param="audio")
    version, channels, mapping_family = data[8], data[9], data[18]
    if version > MAX_VERSION or mapping_family or not 1 <= channels <= MAX_CHANNELS:
        raise UnsupportedAudio("Only Opus of one or two channels is supported.", param="audio")
    return OpusHead(data[:9] + b"\1" + data[10:HEAD_BYTES])
