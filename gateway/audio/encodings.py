"""Live audio in: bytes of any encoding a session may send, in pieces of any length, to 16 kHz mono."""

from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.audio.opus import OpusContainer
from gateway.audio.resample import Resampler
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong, BadAudio, UnsupportedAudio
from gateway.core.wire.stream_messages import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ

# What is decoded before others get their turn: 21 ms of 48 kHz pcm16, 680 ms of Opus at 24 kbit/s.
PIECE_BYTES = 2_048


class LiveDecoder(Protocol):
    """Decodes one session's audio. The pieces it is given don't change what comes out. It is freed with its object.

    After an error, and after `finish`, nothing may be pushed.
    """

    def push(self, data: bytes) -> Samples:
        """What `data` completes, shape (n,), maybe read-only. Raises BadAudio, UnsupportedAudio, AudioTooLong."""
        ...

    def finish(self) -> Samples:
        """What is still held, shape (n,). Raises BadAudio where the stream may not end."""
        ...


def live_decoder(encoding: str, sample_rate_hz: int) -> LiveDecoder:
    """A fresh decoder for one of ENCODINGS. `opus` brings its own rate. Raises UnsupportedAudio."""
    if not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise UnsupportedAudio(
            f"sample_rate is {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} samples a second.", param="sample_rate"
        )
    if encoding == "opus":
        return OpusContainer()
    if encoding not in _FORMATS:
        raise UnsupportedAudio(f"encoding is one of {', '.join(ENCODINGS)}.", param="encoding")
    return _PcmDecoder(_FORMATS[encoding], sample_rate_hz)


def push_in_pieces(decoder: LiveDecoder, data: bytes) -> Iterator[Samples]:
    """Pushes PIECE_BYTES at a time, each when it is asked for: the caller may wait, or let others run, in between."""
    for at in range(0, len(data), PIECE_BYTES):
        yield decoder.push(data[at : at + PIECE_BYTES])


def decode_packed(file: BinaryIO, decoder: LiveDecoder, *, max_audio_s: float) -> Generator[Samples, None, None]:
    """Yields what a file without a container holds, shape (n,). Blocking work for a worker thread.

    Raises BadAudio where that is nothing, AudioTooLong as soon as more than `max_audio_s` came out, and what `decoder`
    raises.
    """
    decoded_samples = 0
    for samples in _all_of(file, decoder):
        decoded_samples += len(samples)
        if decoded_samples > max_audio_s * SAMPLE_RATE_HZ:
            raise AudioTooLong(f"The audio is longer than {max_audio_s:g} seconds.", param="audio")
        yield samples
    if not decoded_samples:
        raise BadAudio("There is no audio.", param="audio")


def _all_of(file: BinaryIO, decoder: LiveDecoder) -> Iterator[Samples]:
    while data := file.read(PIECE_BYTES):
        yield decoder.push(data)
    yield decoder.finish()


class _PcmFormat(NamedTuple):
    """How wide a sample is, and how whole ones become int16."""

    sample_bytes: int
    decode: Callable[[bytes], Samples]


class _PcmDecoder:
    def __init__(self, pcm: _PcmFormat, sample_rate_hz: int) -> None:
        self._pcm = pcm
        self._rest = b""
        self._resampler = Resampler(sample_rate_hz)

    def push(self, data: bytes) -> Samples:
        data = self._rest + data
        whole_bytes = len(data) - len(data) % self._pcm.sample_bytes
        self._rest = data[whole_bytes:]
        return self._resampler.push(self._pcm.decode(data[:whole_bytes]))

    def finish(self) -> Samples:
        if self._rest:
            raise BadAudio("The audio ends within a sample.", param="audio")
        return self._resampler.finish()


def _pcm16(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2")


def _f32(data: bytes) -> Samples:
    """Full scale is -1 to 1, and louder is clipped. NaN and infinity are refused: cleaned, they would hide a fault."""
    values: NDArray[np.float32] = np.frombuffer(data, "<f4")
    if not np.isfinite(values).all():
        raise BadAudio("The audio has samples that are no finite numbers.", param="audio")
    scaled: NDArray[np.float32] = np.rint(np.clip(values, -1, 32_767 / 32_768) * 32_768)
    return scaled.astype(np.int16)


def _table(values: Samples) -> Callable[[bytes], Samples]:
    def decode(data: bytes) -> Samples:
        return values[np.frombuffer(data, np.uint8)]

    return decode


def _mulaw_values() -> Samples:
    """ITU-T G.711, table 2, on 16 bits: all bits are inverted; sign, 3 bits exponent, 4 bits mantissa, bias 33 x 4."""
    code = ~np.arange(256) & 0xFF
    magnitude = ((code << 3 & 0x78) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_values() -> Samples:
    """ITU-T G.711, table 1, on 16 bits: even bits are inverted; as above, without a bias below exponent 1."""
    code = np.arange(256) ^ 0x55
    exponent, step = code >> 4 & 7, code << 4 & 0xF0
    magnitude = np.where(exponent, (step + 264) << np.maximum(exponent - 1, 0), step + 8)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_FORMATS: Mapping[str, _PcmFormat] = MappingProxyType(
    {
        "pcm16": _PcmFormat(2, _pcm16),
        "f32": _PcmFormat(4, _f32),
        "mulaw": _PcmFormat(1, _table(_mulaw_values())),
        "alaw": _PcmFormat(1, _table(_alaw_values())),
    }
)
ENCODINGS = (*_FORMATS, "opus")
