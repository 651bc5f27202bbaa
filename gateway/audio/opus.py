"""Live Opus, streamed in a container or as packets with their lengths in front, to 16 kHz mono."""

import struct
from collections.abc import Iterable, Iterator

import av
import numpy as np

from gateway.audio.ogg import CAPTURE, OggDemuxer
from gateway.audio.opus_head import MAGIC, OpusHead
from gateway.audio.resample import Resampler
from gateway.audio.webm import EBML, WebmDemuxer
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong, BadAudio, UnsupportedAudio

OPUS_RATE_HZ = 48_000
# 2 bytes of Opus can hold 120 ms: a megabyte of them would be hours.
MAX_PUSH_S = 120
# Tags and other tracks come without audio; a picture among them is some hundred kilobytes.
MAX_BYTES_WITHOUT_AUDIO = 4 << 20
MAX_PREFIXED_BYTES = 4_096
PREFIX_BYTES = 2

_MAGIC_BYTES = 4
_PLAIN_HEAD = OpusHead(MAGIC + struct.pack("<BBHIhB", 1, 1, 0, OPUS_RATE_HZ, 0, 0))


class OpusContainer:
    """Decodes Ogg or WebM as browsers record it, known by its first bytes; a LiveDecoder.

    Another recording may follow without a gap. An element or page that is cut off at the end is left out.
    """

    def __init__(self) -> None:
        self._start = b""
        self._demuxer: OggDemuxer | WebmDemuxer | None = None
        self._decoder = _Decoder()
        self._bytes_without_audio = 0

    def push(self, data: bytes) -> Samples:
        """As LiveDecoder."""
        if self._demuxer is None:
            data = self._start + data
            self._start = data[:_MAGIC_BYTES]
            if len(data) < _MAGIC_BYTES:
                return np.empty(0, np.int16)
            self._demuxer = _demuxer(self._start)
        samples = self._decoder.decode(self._demuxer.push(data))
        self._bytes_without_audio = 0 if len(samples) else self._bytes_without_audio + len(data)
        if self._bytes_without_audio > MAX_BYTES_WITHOUT_AUDIO:
            raise BadAudio("The stream goes on without audio.", param="audio")
        return samples

    def finish(self) -> Samples:
        """As LiveDecoder."""
        if self._start and not self._decoder.began:
            raise BadAudio("The stream ended before its audio began.", param="audio")
        return self._decoder.finish()


class OpusPackets:
    """Decodes packets of one or two channels, each with its length in front (uint16, little endian); a LiveDecoder."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._decoder = _Decoder()
        self._decoder.decode([_PLAIN_HEAD])

    def push(self, data: bytes) -> Samples:
        """As LiveDecoder."""
        self._rest += data
        return self._decoder.decode(self._packets())

    def finish(self) -> Samples:
        """As LiveDecoder."""
        if self._rest:
            raise BadAudio("The last Opus packet is cut off.", param="audio")
        return self._decoder.finish()

    def _packets(self) -> Iterator[bytes]:
        while len(self._rest) >= PREFIX_BYTES:
            length_bytes = int.from_bytes(self._rest[:PREFIX_BYTES], "little")
            if not 0 < length_bytes <= MAX_PREFIXED_BYTES:
                raise BadAudio(f"An Opus packet has 1 to {MAX_PREFIXED_BYTES} bytes.", param="audio")
            end = PREFIX_BYTES + length_bytes
            if len(self._rest) < end:
                return
            packet = bytes(self._rest[PREFIX_BYTES:end])
            del self._rest[:end]
            yield packet


class _Decoder:
    """libopus and a resampler: 120 kB. libopus makes one channel out of two; FFmpeg's own decoder takes 200 kB."""

    def __init__(self) -> None:
        self._codec: av.AudioCodecContext | None = None
        self._resampler = Resampler(OPUS_RATE_HZ)

    @property
    def began(self) -> bool:
        return self._codec is not None

    def decode(self, items: Iterable[OpusHead | bytes]) -> Samples:
        """A header begins the codec anew, but neither the resampler nor the clock."""
        pieces: list[Samples] = [np.empty(0, np.int16)]
        samples = 0
        for item in items:
            if isinstance(item, OpusHead):
                self._codec = av.CodecContext.create("libopus", "r")
                self._codec.extradata = item.mono
                continue
            pieces.append(self._packet(item))
            samples += len(pieces[-1])
            if samples > MAX_PUSH_S * SAMPLE_RATE_HZ:
                raise AudioTooLong(f"A message holds more than {MAX_PUSH_S} seconds of audio.", param="audio")
        return np.concatenate(pieces)

    def finish(self) -> Samples:
        return self._resampler.finish()

    def _packet(self, packet: bytes) -> Samples:
        assert self._codec, "a header comes before its packets"
        try:
            frames = self._codec.decode(av.Packet(packet))
        except av.FFmpegError as error:
            raise BadAudio("An Opus packet is damaged.", param="audio") from error
        # A packet that is skipped as a whole, as the header may ask for, has no frame.
        return self._resampler.push(frames[0].to_ndarray()[0] if frames else np.empty(0, np.int16))


def _demuxer(magic: bytes) -> OggDemuxer | WebmDemuxer:
    if magic == CAPTURE:
        return OggDemuxer()
    if magic == EBML.to_bytes(_MAGIC_BYTES, "big"):
        return WebmDemuxer()
    raise UnsupportedAudio("The stream is neither Ogg nor WebM.", param="audio")
