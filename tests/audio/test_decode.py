"""Decoding: every container that is offered, and everything that is not audio."""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from gateway.audio.decode import MAX_HELD_FRAMES, _Conversion, decode
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong, TritoneError, UnsupportedAudio
from tests.fixtures.audio_files import encode, silence, speech, speech_file, wav_bytes
from tests.fixtures.bad_audio import (
    MAX_AUDIO_S,
    BadFile,
    DamagedFile,
    bad_files,
    damaged_files,
    silent_flac,
    wav,
    with_flac_length,
)


def decoded(data: bytes, max_audio_s: float = MAX_AUDIO_S) -> Samples:
    return np.concatenate(list(decode(io.BytesIO(data), max_audio_s=max_audio_s)))


def likeness(heard: Samples, said: Samples) -> float:
    """The correlation at the best shift of up to 100 ms, as codecs add a delay; 1 is the same sound, louder or not."""
    margin = SAMPLE_RATE_HZ // 10
    middle = said[margin:-margin].astype(np.float64)
    found = np.correlate(heard[: len(said)].astype(np.float64), middle, "valid")
    shift = int(found.argmax())
    energy = np.square(heard[shift : shift + len(middle)].astype(np.float64)).sum() * np.square(middle).sum()
    return float(found[shift] / np.sqrt(energy))


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz", "layout"),
    [
        ("wav", "pcm_s16le", 16_000, "mono"),
        ("wav", "pcm_u8", 8_000, "mono"),
        ("wav", "pcm_s24le", 48_000, "stereo"),
        ("wav", "pcm_f32le", 44_100, "mono"),
        ("wav", "pcm_mulaw", 8_000, "mono"),
        ("flac", "flac", 44_100, "stereo"),
        ("mp3", "libmp3lame", 44_100, "stereo"),
        ("mp3", "libmp3lame", 16_000, "mono"),
        ("mp4", "aac", 44_100, "stereo"),
        ("ipod", "alac", 48_000, "mono"),
        ("mov", "pcm_s16le", 44_100, "stereo"),
        ("adts", "aac", 48_000, "mono"),
        ("ogg", "libopus", 48_000, "mono"),
        ("ogg", "vorbis", 44_100, "stereo"),
        ("webm", "libopus", 48_000, "stereo"),
        ("matroska", "aac", 48_000, "mono"),
        ("mpeg", "mp2", 48_000, "stereo"),
    ],
)
def test_every_container(container: str, codec: str, rate_hz: int, layout: str) -> None:
    said = speech("weather")
    heard = decoded(encode(said, container, codec, rate_hz, layout))
    assert heard.dtype == np.int16
    assert abs(len(heard) - len(said)) < 0.1 * SAMPLE_RATE_HZ
    assert likeness(heard, said) > 0.9


def test_16_khz_flac_comes_out_as_it_went_in() -> None:
    with speech_file("river").open("rb") as file:
        np.testing.assert_array_equal(np.concatenate(list(decode(file, max_audio_s=60))), speech("river"))


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_are_mixed_to_one(channels: int) -> None:
    level = np.full((SAMPLE_RATE_HZ, channels), 1_000, np.int16)
    heard = decoded(wav_bytes(level))
    assert len(heard) == SAMPLE_RATE_HZ
    assert heard[8_000] == pytest.approx(1_000, abs=3)


@pytest.mark.parametrize("channels", range(2, 9))
def test_no_channel_is_left_out(channels: int) -> None:
    for channel in range(channels):
        level = np.zeros((SAMPLE_RATE_HZ, channels), np.int16)
        level[:, channel] = 8_000
        assert decoded(wav_bytes(level))[8_000] == pytest.approx(8_000 / channels, abs=3)


@pytest.mark.parametrize("mask", [0x5, 0x30, 0x600, 0x3])
def test_two_speakers_may_stand_anywhere(mask: int) -> None:
    level = np.full((SAMPLE_RATE_HZ, 2), 1_000, np.int16)
    pcm_guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 2, SAMPLE_RATE_HZ, 4 * SAMPLE_RATE_HZ, 4, 16, 22, 16, mask) + pcm_guid
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", level.nbytes) + level.tobytes()
    heard = decoded(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    assert heard[8_000] == pytest.approx(1_000, abs=3)


def test_packets_of_one_sample_are_not_kept_by_the_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    resampled = _Conversion._resampled

    def counting(conversion: _Conversion) -> Iterator[Samples]:
        held.append(len(conversion._mixed))
        yield from resampled(conversion)

    monkeypatch.setattr(_Conversion, "_resampled", counting)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as written:
        stream = written.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for at in range(5_000):
            packet = av.Packet(b"\1\0")
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, at, at, Fraction(1, 48_000)
            written.mux(packet)
    assert len(decoded(file.getvalue())) == pytest.approx(5_000 / 3, abs=2)
    assert max(held) <= MAX_HELD_FRAMES


def test_chunks_are_about_a_second() -> None:
    chunks = list(decode(io.BytesIO(encode(silence(20), "flac", "flac", 44_100)), max_audio_s=60))
    assert max(map(len, chunks)) < 1.1 * SAMPLE_RATE_HZ
    assert sum(map(len, chunks)) == 20 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("bad", bad_files(), ids=lambda bad: bad.name)
def test_bad_files_are_refused_in_silence(bad: BadFile, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TritoneError) as caught:
        decoded(bad.data)
    assert type(caught.value) in bad.errors
    assert caught.value.param == "file"
    assert not any(word in caught.value.message for word in ("Errno", "<none>", "0x", "/etc"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damaged", damaged_files(), ids=lambda damaged: damaged.name)
def test_what_is_left_of_a_damaged_file_is_given(damaged: DamagedFile, capfd: pytest.CaptureFixture[str]) -> None:
    least_s, most_s = damaged.seconds
    assert least_s <= len(decoded(damaged.data)) / SAMPLE_RATE_HZ <= most_s
    assert capfd.readouterr() == ("", "")


def test_the_limit_is_in_decoded_seconds() -> None:
    data = wav_bytes(silence(10))
    assert len(decoded(data, max_audio_s=10)) == 10 * SAMPLE_RATE_HZ
    with pytest.raises(AudioTooLong, match=r"longer than 9\.5 seconds"):
        decoded(data, max_audio_s=9.5)


def test_a_length_that_is_declared_and_true_is_refused_before_anything_comes_out() -> None:
    with pytest.raises(AudioTooLong):
        next(decode(io.BytesIO(wav_bytes(silence(10))), max_audio_s=5))


def test_a_length_that_is_not_declared_is_refused_when_it_is_passed() -> None:
    chunks = decode(io.BytesIO(with_flac_length(silent_flac(0.1), 0)), max_audio_s=60)
    received = 0
    with pytest.raises(AudioTooLong):
        for chunk in chunks:
            received += len(chunk)
    assert 58 * SAMPLE_RATE_HZ < received <= 60 * SAMPLE_RATE_HZ


def test_a_length_that_is_only_claimed_does_not_matter() -> None:
    assert len(decoded(wav(silence(1).tobytes(), data_bytes=0x7FFFFFFF), max_audio_s=10)) == SAMPLE_RATE_HZ


def test_closing_ends_the_work_and_leaves_the_file_open() -> None:
    file = io.BytesIO(wav_bytes(silence(30)))
    chunks = decode(file, max_audio_s=60)
    next(chunks)
    chunks.close()
    assert list(chunks) == []
    assert not file.closed


def test_the_first_audio_stream_is_taken() -> None:
    first, second = speech("weather"), silence(5)
    assert likeness(decoded(two_streams(first, second)), first) > 0.9


def test_a_broken_disk_is_not_bad_audio() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 100_000:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        list(decode(Broken(wav_bytes(silence(30))), max_audio_s=60))


def two_streams(first: Samples, second: Samples) -> bytes:
    """A matroska file with two audio streams."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as written:
        streams = [written.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono") for _ in range(2)]
        for stream, samples in zip(streams, (first, second), strict=True):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            written.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


@pytest.mark.parametrize(("bits", "valid_bits"), [(32, 32), (32, 24), (32, 20), (24, 20), (16, 12), (32, 0)])
def test_a_wav_sample_is_as_wide_as_it_is(bits: int, valid_bits: int) -> None:
    """Recorders of 24 bits often write 32."""
    sound = speech("weather")
    data = b"".join((int(sample) << bits - 16).to_bytes(bits // 8, "little", signed=True) for sample in sound)
    layout = struct.pack("<HHIIHH", 0xFFFE, 1, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * bits // 8, bits // 8, bits)
    layout += struct.pack("<HHI", 22, valid_bits, 4) + bytes.fromhex("0100000000001000800000aa00389b71")
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(data)) + data
    np.testing.assert_array_equal(decoded(b"RIFF" + struct.pack("<I", len(chunks)) + chunks), sound)


def test_a_wav_in_the_other_byte_order_is_refused() -> None:
    with pytest.raises(UnsupportedAudio, match="RIFX"):
        decoded(b"RIFX" + wav_bytes(speech("weather"))[4:])
