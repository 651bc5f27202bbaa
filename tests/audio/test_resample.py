"""The resampler's pieces join without a seam."""

import numpy as np
import pytest

from gateway.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, Resampler
from gateway.core.audio import SAMPLE_RATE_HZ, Samples


def resampled(samples: Samples, rate_hz: int, piece: int) -> Samples:
    resampler = Resampler(rate_hz)
    pieces = [resampler.push(samples[start : start + piece]) for start in range(0, len(samples), piece)]
    return np.concatenate([*pieces, resampler.finish()])


@pytest.mark.parametrize(
    "rate_hz", [MIN_RATE_HZ, 8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, MAX_RATE_HZ]
)
def test_a_tone_keeps_its_pitch_level_and_length(rate_hz: int) -> None:
    tone = (8_000 * np.sin(2 * np.pi * 1_000 * np.arange(2 * rate_hz) / rate_hz)).astype(np.int16)
    heard = resampled(tone, rate_hz, 997)
    assert heard.dtype == np.int16
    assert abs(len(heard) - 2 * SAMPLE_RATE_HZ) <= 1
    middle = heard[4_000:20_000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 1_000
    assert np.abs(middle).max() == pytest.approx(8_000, rel=0.01)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_the_pieces_do_not_matter(rate_hz: int) -> None:
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 2 * rate_hz).astype(np.int16)
    whole, pieces = resampled(noise, rate_hz, len(noise)), resampled(noise, rate_hz, 160)
    np.testing.assert_array_equal(whole, pieces)


def test_full_scale_does_not_wrap_around() -> None:
    square = np.repeat(np.tile(np.array([32_767, -32_768], np.int16), 20), 1_000)
    heard = resampled(square, 48_000, 1_000).astype(int)
    assert heard.max() == 32_767
    assert heard.min() == -32_768
    assert np.sign(heard[20:300]).min() == 1


def test_nothing_gives_nothing() -> None:
    assert len(Resampler(48_000).finish()) == len(Resampler(16_000).finish()) == 0
