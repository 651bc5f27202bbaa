import numpy as np
import pytest
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from features import LogMel


@pytest.mark.parametrize("mel_bins", [80, 128])
@pytest.mark.parametrize(("clip", "frames"), [("weather", 800), ("kitchen", 1000), ("library", 3000)])
def test_the_window_is_that_of_faster_whisper(
    speech: dict[str, NDArray[np.int16]], clip: str, frames: int, mel_bins: int
) -> None:
    expected = pad_or_trim(FeatureExtractor(feature_size=mel_bins)(speech[clip].astype(np.float32) / 32768), frames)
    np.testing.assert_allclose(LogMel(mel_bins)(speech[clip], frames), expected, atol=1e-6)


@pytest.mark.parametrize("length", [1, 159, 160, 128_000])
def test_any_length_that_fits_gives_the_window(length: int) -> None:
    noise = np.random.default_rng(0).integers(-999, 999, length).astype(np.int16)
    features = LogMel(80)(noise, 800)
    assert features.shape == (80, 800)
    assert np.isfinite(features).all()
