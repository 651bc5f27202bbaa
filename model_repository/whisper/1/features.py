"""Log-mel features for a window."""

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from windows import SAMPLES_PER_FRAME


class LogMel:
    """Whisper's features of int16 audio, as faster-whisper computes and pads them.

    What lies behind the audio is 0, not the mel of silence, which is far below: with that the model takes music and
    noise for speech (docs/performance.md).
    """

    def __init__(self, mel_bins: int) -> None:
        self._extract = FeatureExtractor(feature_size=mel_bins)

    def __call__(self, samples: NDArray[np.int16], frames: int) -> NDArray[np.float32]:
        """Shape (mel_bins, frames)."""
        speech = self._extract(samples.astype(np.float32) / 32768, padding=SAMPLES_PER_FRAME)[:, :frames]
        return np.pad(speech, ((0, 0), (0, frames - speech.shape[1])))
