"""Judges speech with Silero's network; the only importer of onnxruntime."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gateway.core.audio import FRAME_SAMPLES, Samples

WINDOW_SAMPLES = 512
# What the network sees of the window before.
CONTEXT_SAMPLES = 64
STATE_SHAPE = (1, 1, 128)


class SileroScorer:
    """Silero's probability of speech, of the last whole window of 32 ms at the end of each frame.

    So a score is up to a window late, which the pre-roll makes good. A session has 3 kB of state; the network is
    shared. Windows go one by one: then the scores are the same however the audio is divided.
    """

    def __init__(self) -> None:
        self._network = _network()
        self._state = np.zeros(STATE_SHAPE, np.float32), np.zeros(STATE_SHAPE, np.float32)
        self._samples: NDArray[np.float32] = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._score = 0.0

    def score(self, frames: Samples) -> Sequence[float]:
        """As SpeechScorer; ValueError where `frames` is not whole frames."""
        scores: list[float] = []
        for frame in frames.reshape(-1, FRAME_SAMPLES):
            self._samples = np.concatenate((self._samples, frame.astype(np.float32) / 32_768))
            if len(self._samples) >= CONTEXT_SAMPLES + WINDOW_SAMPLES:
                self._judge(self._samples[: CONTEXT_SAMPLES + WINDOW_SAMPLES])
                self._samples = self._samples[WINDOW_SAMPLES:]
            scores.append(self._score)
        return scores

    def _judge(self, window: NDArray[np.float32]) -> None:
        h, c = self._state
        probabilities, *state = self._network.run(None, {"input": window[np.newaxis], "h": h, "c": c})
        self._state = state[0], state[1]
        self._score = float(probabilities[0])


@lru_cache
def _network() -> Any:  # noqa: ANN401 - onnxruntime's session is untyped
    """The weights that faster-whisper brings; it is not imported for them. Raises FileNotFoundError."""
    package = find_spec("faster_whisper")
    folders = package.submodule_search_locations if package else None
    found = sorted(Path(folders[0], "assets").glob("silero_vad*.onnx")) if folders else []
    if not found:
        raise FileNotFoundError("faster-whisper has no silero_vad.onnx: use another voice activity detection")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(found[-1]), sess_options=options, providers=["CPUExecutionProvider"])
