"""Log-mel features for a window, without computing the padding."""

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from windows import MAX_FRAMES, SAMPLES_PER_FRAME

SILENCE_LOG = -10.0
"""log10 of the floor that Whisper gives to empty mel bins (1e-10)."""

BORDER_SAMPLES = 400
"""One STFT window: beyond it nothing of the speech is left in a frame."""


class LogMel:
    """Whisper's features of int16 audio in a window.

    In the full one what lies behind the audio is 0, as in faster-whisper: with the mel of silence, which is far below,
    the model takes music and noise for speech. A right-sized one has the silence that follows the speech.
    """

    def __init__(self, mel_bins: int) -> None:
        self._extract = FeatureExtractor(feature_size=mel_bins)

    def __call__(self, samples: NDArray[np.int16], frames: int) -> NDArray[np.float32]:
        """Shape (mel_bins, frames). The padding is filled in: silence has one known value in the log-mel."""
        is_full = frames == MAX_FRAMES
        border = SAMPLES_PER_FRAME if is_full else min(BORDER_SAMPLES, frames * SAMPLES_PER_FRAME - len(samples))
        speech = self._extract(samples.astype(np.float32) / 32768, padding=max(0, border))[:, :frames]
        loudest = 4 * float(speech.max()) - 4
        behind = 0.0 if is_full else (max(SILENCE_LOG, loudest - 8) + 4) / 4
        window = np.full((speech.shape[0], frames), behind, dtype=np.float32)
        window[:, : speech.shape[1]] = speech
        return window
