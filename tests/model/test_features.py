import numpy as np
import pytest
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from features import LogMel


@pytest.mark.parametrize("mel_bins", [80, 128])
@pytest.mark.parametrize(("clip", "frames"), [("weather", 800), ("kitchen", 1000)])
def test_the_filled_in_padding_equals_computed_silence(
    speech: dict[str, NDArray[np.int16]], clip: str, frames: int, mel_bins: int
) -> None:
    samples = speech[clip]
    padded = np.pad(samples.astype(np.float32) / 32768, (0, frames * 160 - len(samples)))
    expected = FeatureExtractor(feature_size=mel_bins)(padded, padding=0)
    np.testing.assert_allclose(LogMel(mel_bins)(samples, frames), expected[:, :frames], atol=1e-4)


@pytest.mark.parametrize("mel_bins", [80, 128])
def test_the_full_window_is_that_of_faster_whisper(speech: dict[str, NDArray[np.int16]], mel_bins: int) -> None:
    samples = speech["library"]
    expected = pad_or_trim(FeatureExtractor(feature_size=mel_bins)(samples.astype(np.float32) / 32768))
    np.testing.assert_allclose(LogMel(mel_bins)(samples, 3000), expected, atol=1e-6)


@pytest.mark.parametrize("length", [1, 159, 160, 128_000])
def test_any_length_that_fits_gives_the_window(length: int) -> None:
    noise = np.random.default_rng(0).integers(-999, 999, length).astype(np.int16)
    features = LogMel(80)(noise, 800)
    assert features.shape == (80, 800)
    assert np.isfinite(features).all()
