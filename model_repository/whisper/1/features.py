"""Log-mel features for a window, without computing the padding."""

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from windows import SAMPLES_PER_FRAME

SILENCE_LOG = -10.0
"""log10 of the floor that Whisper gives to empty mel bins (1e-10)."""

BORDER_SAMPLES = 400
"""One STFT window: beyond it nothing of the speech is left in a frame."""


class LogMel:
    """Whisper's features of int16 audio padded with silence to a window, as faster-whisper computes them."""

    def __init__(self, mel_bins: int) -> None:
        self._extract = FeatureExtractor(feature_size=mel_bins)

    def __call__(self, samples: NDArray[np.int16], frames: int) -> NDArray[np.float32]:
        """Shape (mel_bins, frames). The padding is filled in: silence has one known value in the log-mel."""
        padding = min(BORDER_SAMPLES, frames * SAMPLES_PER_FRAME - len(samples))
        speech = self._extract(samples.astype(np.float32) / 32768, padding=padding)[:, :frames]
        loudest = 4 * float(speech.max()) - 4
        silence = (max(SILENCE_LOG, loudest - 8) + 4) / 4
        window = np.full((speech.shape[0], frames), silence, dtype=np.float32)
        window[:, : speech.shape[1]] = speech
        return window
