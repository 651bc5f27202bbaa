"""Sound that begins late, or stops for a while, is at its time; what a damaged time stamp costs is bounded."""

import io
from collections.abc import Iterable

import av
import numpy as np
import pytest

from gateway.audio.decode import decode
from gateway.audio.holes import MAX_HOLE_S, MIN_HOLE_S, Holes
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong
from tests.fixtures.audio_files import speech

SOUND = speech("weather")
SOUND_S = len(SOUND) / SAMPLE_RATE_HZ
FRAME_S = 0.02


def found(*stamps_s: float | None, start_s: float = 0.0) -> list[float]:
    holes = Holes(start_s)
    return [holes.before(at_s, FRAME_S) for at_s in stamps_s]


def film(container: str, codec: str, rate_hz: int, parts_at_s: Iterable[float]) -> bytes:
    """A black picture from the start, and the same sound at each of these times."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as written:
        picture = written.add_stream("mpeg4", rate=1, width=16, height=16, pix_fmt="yuv420p")
        sound = written.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = 0
        sound.codec_context.open()
        written.mux([*picture.encode(frame), *picture.encode(None)])
        for at_s in parts_at_s:
            size = sound.codec_context.frame_size or 1_024
            resampler = av.AudioResampler(sound.codec_context.format, "mono", rate_hz, frame_size=size)
            part = av.AudioFrame.from_ndarray(SOUND[np.newaxis], format="s16", layout="mono")
            part.sample_rate, part.pts = SAMPLE_RATE_HZ, 0
            for piece in [*resampler.resample(part), *resampler.resample(None)]:
                piece.pts = (piece.pts or 0) + round(at_s * rate_hz)
                written.mux(sound.encode(piece))
        written.mux(sound.encode(None))
    return file.getvalue()


def decoded(data: bytes, max_audio_s: float = 60.0) -> Samples:
    return np.concatenate(list(decode(io.BytesIO(data), max_audio_s=max_audio_s)))


def loud(samples: Samples, from_s: float, to_s: float) -> bool:
    return bool(np.abs(samples[int(from_s * SAMPLE_RATE_HZ) : int(to_s * SAMPLE_RATE_HZ)]).max(initial=0) > 500)


def test_no_hole_where_one_frame_follows_the_other() -> None:
    assert found(0.0, 0.02, 0.04) == [0, 0, 0]


def test_a_late_start_and_a_gap_are_holes() -> None:
    assert found(3.0, 3.02, 5.0, 5.02) == pytest.approx([3.0, 0, 1.96, 0])


def test_the_start_is_the_file_s() -> None:
    assert found(12.0, 14.0, start_s=12.0) == pytest.approx([0, 2 - FRAME_S])


def test_small_gaps_are_filled_when_they_have_added_up() -> None:
    stamps_s = [2 * FRAME_S * number for number in range(100)]
    filled_s = sum(found(*stamps_s))
    assert stamps_s[-1] - 99 * FRAME_S - filled_s < MIN_HOLE_S


def test_packets_that_come_late_and_then_at_once_are_one_hole() -> None:
    arrivals_s = [0.0, 0.02, 0.6, 0.61, 0.62, 0.63, *(0.62 + FRAME_S * number for number in range(1, 50)), 1.65]
    assert sum(found(*arrivals_s)) == pytest.approx(0.56)


@pytest.mark.parametrize("wild_s", [-5.0, MAX_HOLE_S + 1, 1e12])
def test_a_clock_that_was_set_anew_is_followed(wild_s: float) -> None:
    assert found(0.0, wild_s, wild_s + FRAME_S, wild_s + 1) == pytest.approx([0, 0, 0, 1 - 2 * FRAME_S], abs=1e-3)


def test_a_frame_without_a_time_stamp_follows_the_one_before() -> None:
    assert found(None, 0.02, None, 1.0) == pytest.approx([0, 0, 0, 1 - 3 * FRAME_S])


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [
        ("mp4", "aac", 44_100),
        ("matroska", "libopus", 48_000),
        ("matroska", "pcm_s16le", 16_000),
        ("mov", "alac", 16_000),
    ],
)
def test_sound_of_a_film_is_at_its_time(container: str, codec: str, rate_hz: int) -> None:
    samples = decoded(film(container, codec, rate_hz, [2.0, 10.0]))
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(10 + SOUND_S, abs=0.1)
    assert not loud(samples, 0, 1.9)
    assert loud(samples, 2, 2 + SOUND_S)
    assert not loud(samples, 2.1 + SOUND_S, 9.9)
    assert loud(samples, 10, 10 + SOUND_S)


def test_silence_counts() -> None:
    data = film("matroska", "pcm_s16le", 16_000, [0.0, 100.0])
    with pytest.raises(AudioTooLong):
        decoded(data, max_audio_s=90)
