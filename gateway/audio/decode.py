"""Decodes audio files to 16 kHz mono."""

from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext, suppress
from typing import BinaryIO

import av
import numpy as np
from av.audio import AudioFrame, AudioStream
from av.container import InputContainer
from av.packet import Packet

from gateway.audio.holes import Holes
from gateway.audio.metadata import without_metadata
from gateway.audio.mp4_index import MAX_TRACKS, is_mp4, refuse_huge_index
from gateway.audio.ogg_links import links
from gateway.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, Resampler
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong, BadAudio, UnsupportedAudio

MAX_CHANNELS = 8
# A frame may be one sample long.
MAX_HELD_FRAMES = 1_024
READ_BUFFER_BYTES = 65_536
CONTAINERS = ("wav", "flac", "mp3", "mp4", "m4a", "aac", "ogg", "webm", "mpeg")
DEMUXERS = ("wav", "flac", "mp3", "aac", "ogg", "matroska", "mpeg")
DECODERS = (
    *(f"pcm_{name}" for name in ("u8", "s8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be")),
    *(f"pcm_{name}" for name in ("f32le", "f32be", "f64le", "f64be", "alaw", "mulaw")),
    *("adpcm_ms", "adpcm_ima_wav", "flac", "alac", "vorbis", "opus", "libopus"),
    *("mp3", "mp3float", "mp2", "mp2float", "aac", "ac3", "eac3", "amrnb", "amrwb"),
)
# What containers start with: it tells a damaged file from a foreign one. The last are frame headers of mp3 and aac.
SIGNATURES = (
    *(b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3", b"\0\0\x01\xba"),
    *(b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9"),
)


def decode(file: BinaryIO, *, max_audio_s: float, container: str | None = None) -> Generator[Samples, None, None]:
    """Yields the first audio stream of a seekable file, shape (n,), about a second at a time.

    What is damaged or cut off is left out: a file is as long as what could be decoded of it, with silence where its
    time stamps leave a hole. FFmpeg sees the file object, no name, and may open nothing else; demuxers and decoders are
    those of the lists above. Closing the generator ends the work. Memory is a few seconds of audio, whatever the file
    claims. With a `container`, one of CONTAINERS, the file has to be one.

    Raises UnsupportedAudio (container, codec, channels, sample rate), BadAudio (empty, no audio stream, nothing that
    can be decoded), AudioTooLong (as soon as more than `max_audio_s` came out, or at once where container and packets
    say so), and what `file` raises.
    """
    decoded_samples = 0
    with closing(_all_frames(file, max_audio_s, container)) as frames:
        for samples in _mono(frames):
            decoded_samples += len(samples)
            if decoded_samples > max_audio_s * SAMPLE_RATE_HZ:
                raise _too_long(max_audio_s)
            if len(samples):
                yield samples
    if not decoded_samples:
        raise BadAudio("The file has no audio that can be decoded.", param="file")


def _too_long(max_audio_s: float) -> AudioTooLong:
    return AudioTooLong(f"The audio is longer than {max_audio_s:g} seconds.", param="file")


def _all_frames(
    file: BinaryIO, max_audio_s: float, container: str | None
) -> Generator[tuple[float, AudioFrame], None, None]:
    """Each frame with the seconds of silence before it. What follows in a chained file may be damaged, or no audio."""
    for number, link in enumerate(links(file)):
        with suppress(BadAudio) if number else nullcontext(), _open(link, max_audio_s) as opened:
            if container and container not in opened.format.name.split(","):
                raise BadAudio(f"The file is no {container}.", param="file")
            stream = _first_audio_stream(opened)
            holes = Holes((opened.start_time or 0) / av.time_base)
            # FFmpeg stamps the first page of Ogg FLAC with 0 and the next with its place in what was broadcast.
            is_stamped = (opened.format.name, stream.codec_context.name) != ("ogg", "flac")
            for frame in _frames(opened, stream):
                at_s = frame.time if is_stamped else None
                yield holes.before(at_s, frame.samples / frame.sample_rate), frame


def _open(file: BinaryIO, max_audio_s: float) -> InputContainer:
    container = _opened(file)
    if container.duration is None or container.duration <= max_audio_s * av.time_base:
        return container
    with container:
        _refuse_too_long(container, max_audio_s)
    return _opened(file)


def _refuse_too_long(container: InputContainer, max_audio_s: float) -> None:
    """A declared duration alone proves nothing (streamed wav headers claim 2**32 bytes): the packets are counted."""
    present_s = 0.0
    for packet in _packets(container, _first_audio_stream(container)):
        present_s += float((packet.duration or 0) * packet.time_base)
        if present_s > max_audio_s:
            raise _too_long(max_audio_s)


def _opened(file: BinaryIO) -> InputContainer:
    file = without_metadata(file)
    head = file.read(12)
    if not head:
        raise BadAudio("The file is empty.", param="file")
    mp4, wav = is_mp4(head), head[8:] == b"WAVE"
    if mp4:
        refuse_huge_index(file)
    if head.startswith(b"RIFX"):
        # FFmpeg swaps the bytes of its head, and not those of its samples.
        raise UnsupportedAudio("The wav has its bytes in the other order (RIFX).", param="file")
    file.seek(0)
    try:
        container: InputContainer = av.open(
            file,
            "r",
            container_options={
                "format_whitelist": ",".join((*DEMUXERS, "mov") if mp4 else DEMUXERS),
                "codec_whitelist": ",".join(DECODERS),
                "protocol_whitelist": "none",
                # A decoder is opened for each.
                "max_streams": str(MAX_TRACKS),
                # Looking for another codec behind a wav's PCM takes 4 ms; what the header says is taken. Packets are of
                # 64 ms unless told otherwise: larger ones make decoding 1.6 times as fast.
                **({"max_probe_packets": "1", "max_size": "8192"} if wav else {}),
            },
            metadata_errors="replace",
            buffer_size=READ_BUFFER_BYTES,
        )
    except av.FFmpegError as error:
        if mp4 or wav or head.startswith(SIGNATURES):
            raise BadAudio("The file is damaged: it can't be opened.", param="file") from error
        raise UnsupportedAudio(
            "The file is in no supported format: wav, flac, mp3, mp4, m4a, aac, ogg, opus, webm, mpeg.", param="file"
        ) from error
    return container


def _first_audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise BadAudio("The file has no audio stream.", param="file")
    stream = container.streams.audio[0]
    if stream.codec_context is None or stream.codec_context.name not in DECODERS:
        raise UnsupportedAudio("The audio's codec is not supported.", param="file")
    _check_shape(stream.codec_context.channels, stream.codec_context.sample_rate)
    stream.codec_context.thread_count = 1
    return stream


def _check_shape(channels: int, rate_hz: int) -> None:
    """Zero is what a container says that leaves the question to the packets."""
    if channels > MAX_CHANNELS:
        raise UnsupportedAudio(f"The audio has {channels} channels; there may be {MAX_CHANNELS}.", param="file")
    if rate_hz and not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise UnsupportedAudio(
            f"The audio has {rate_hz} samples a second; there may be {MIN_RATE_HZ} to {MAX_RATE_HZ}.", param="file"
        )


def _packets(container: InputContainer, stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """Ends where the container can't be read on, and then without the packet that empties the decoder."""
    with suppress(av.FFmpegError):
        yield from container.demux(stream)


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Leaves out the packets that can't be decoded."""
    for packet in _packets(container, stream):
        with suppress(av.FFmpegError):
            yield from packet.decode()


def _mono(frames: Iterator[tuple[float, AudioFrame]]) -> Iterator[Samples]:
    """16 kHz mono; a stream may change its rate, layout or format on the way, as joined files do."""
    conversion: _Conversion | None = None
    for hole_s, frame in frames:
        if conversion is None or not conversion.takes(frame):
            if conversion:
                yield from conversion.finish()
            conversion = _Conversion(frame)
        if hole_s:
            yield from conversion.push_silence(hole_s)
        yield from conversion.push(frame)
    if conversion:
        yield from conversion.finish()


class _Conversion:
    """FFmpeg makes 16-bit samples, soxr converts the rate, a second at a time.

    More channels than two are averaged: FFmpeg's own mix leaves out what it takes for bass, and knows few layouts.
    """

    def __init__(self, frame: AudioFrame) -> None:
        _check_shape(frame.layout.nb_channels, frame.sample_rate)
        self._shape = _shape(frame)
        # What is mono and 16-bit already is spared the filter, a sixth of the time that a wav takes.
        is_plain = frame.layout.nb_channels == 1 and frame.format.name in ("s16", "s16p")
        layout = "mono" if frame.layout.name in ("mono", "stereo") else frame.layout
        rate_hz = frame.sample_rate
        self._to_16_bit = None if is_plain else av.AudioResampler(format="s16", layout=layout, rate=rate_hz)
        self._resampler = Resampler(frame.sample_rate)
        self._chunk_samples = frame.sample_rate
        self._mixed: list[Samples] = []
        self._mixed_samples = 0

    def takes(self, frame: AudioFrame) -> bool:
        return self._shape == _shape(frame)

    def push(self, frame: AudioFrame) -> Iterator[Samples]:
        frame.pts = None
        for plain in self._plain(frame):
            self._mixed.append(_averaged(plain))
            self._mixed_samples += plain.samples
        if self._mixed_samples >= self._chunk_samples or len(self._mixed) >= MAX_HELD_FRAMES:
            yield from self._resampled()

    def push_silence(self, duration_s: float) -> Iterator[Samples]:
        yield from self._resampled()
        left = round(duration_s * self._chunk_samples)
        while left:
            samples = min(left, self._chunk_samples)
            yield self._resampler.push(np.zeros(samples, np.int16))
            left -= samples

    def finish(self) -> Iterator[Samples]:
        for plain in self._plain(None):
            self._mixed.append(_averaged(plain))
        yield from self._resampled()
        yield self._resampler.finish()

    def _plain(self, frame: AudioFrame | None) -> list[AudioFrame]:
        """In 16 bits; None brings out what the filter holds."""
        if self._to_16_bit is None:
            return [frame] if frame else []
        try:
            plain: list[AudioFrame] = self._to_16_bit.resample(frame)
        except av.FFmpegError as error:
            raise UnsupportedAudio("The audio's channels can't be read.", param="file") from error
        return plain

    def _resampled(self) -> Iterator[Samples]:
        # One FLAC frame may be 16 s long.
        mixed = np.concatenate([np.zeros(0, np.int16), *self._mixed])
        self._mixed, self._mixed_samples = [], 0
        for first in range(0, len(mixed), self._chunk_samples):
            yield self._resampler.push(mixed[first : first + self._chunk_samples])


def _averaged(frame: AudioFrame) -> Samples:
    """The channels of a frame of packed 16 bits as one; a single one where it is: `to_ndarray` would copy it twice."""
    channels = frame.layout.nb_channels
    packed: Samples = np.frombuffer(frame.planes[0], np.int16, channels * frame.samples)  # type: ignore[call-overload]
    if channels == 1:
        return packed
    # One channel after the other: a mean over so short an axis takes five times as long.
    total = np.zeros(frame.samples, np.int32)
    for channel in range(channels):
        total += packed[channel::channels]
    mean: Samples = np.rint(total / channels).astype(np.int16)
    return mean


def _shape(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
