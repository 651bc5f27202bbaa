"""Judges which frames are speech; the only importer of webrtcvad."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import webrtcvad

from gateway.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from gateway.ports import SpeechScorer

WEBRTC_MODE = 2
GATE_RMS = 10
SMOOTHED_FRAMES = 5
FRAME_BYTES = 2 * FRAME_SAMPLES


class WebRtcScorer:
    """Google's WebRTC detector behind an energy gate.

    A score is the share of the last SMOOTHED_FRAMES that the detector called speech. Frames quieter than GATE_RMS
    (-70 dBFS) are silence without asking: no detector hears more than noise there.
    """

    def __init__(self) -> None:
        self._detector = webrtcvad.Vad(WEBRTC_MODE)
        self._verdicts = np.zeros(SMOOTHED_FRAMES - 1)

    def score(self, frames: Samples) -> Sequence[float]:
        """As SpeechScorer; ValueError where `frames` is not whole frames."""
        whole = frames.reshape(-1, FRAME_SAMPLES)
        if not len(whole):
            return []
        energy = np.einsum("ij,ij->i", whole, whole, dtype=np.int64)
        verdicts = np.zeros(len(whole))
        pcm16 = frames.tobytes()
        for index in np.flatnonzero(energy >= GATE_RMS**2 * FRAME_SAMPLES).tolist():
            frame = pcm16[index * FRAME_BYTES : (index + 1) * FRAME_BYTES]
            verdicts[index] = self._detector.is_speech(frame, SAMPLE_RATE_HZ)
        seen = np.concatenate((self._verdicts, verdicts))
        self._verdicts = seen[len(whole) :]
        scores: list[float] = (np.convolve(seen, np.ones(SMOOTHED_FRAMES), "valid") / SMOOTHED_FRAMES).tolist()
        return scores


class EverythingScorer:
    """Calls every frame speech: audio is then cut by length alone."""

    def score(self, frames: Samples) -> Sequence[float]:
        """As SpeechScorer."""
        return [1.0] * (len(frames) // FRAME_SAMPLES)


def _silero() -> SpeechScorer:
    from gateway.audio.silero import SileroScorer  # noqa: PLC0415 - its runtime is 30 MB that the default doesn't need

    return SileroScorer()


SCORERS: Mapping[str, Callable[[], SpeechScorer]] = MappingProxyType(
    {"webrtc": WebRtcScorer, "silero": _silero, "none": EverythingScorer}
)


def scorer_for(name: str) -> SpeechScorer:
    """A fresh scorer for one stream. Raises ValueError, which lists the names."""
    if name not in SCORERS:
        raise ValueError(f"no speech scorer {name!r}; there are {', '.join(SCORERS)}")
    return SCORERS[name]()
