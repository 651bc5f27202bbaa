"""Brings one stream to 16 kHz; the only importer of soxr."""

import numpy as np
import soxr
from numpy.typing import NDArray

from gateway.core.audio import SAMPLE_RATE_HZ, Samples

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000


class Resampler:
    """Keeps the filter's state of one stream: the pieces it is given don't change what comes out.

    The caller checks `rate_hz`: MIN_RATE_HZ..MAX_RATE_HZ. Memory is a filter's length, whatever the stream's. The
    filter works on floats, because soxr's own int16 adds a dither that differs from piece to piece.
    """

    def __init__(self, rate_hz: int) -> None:
        same = rate_hz == SAMPLE_RATE_HZ
        self._filter = None if same else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, samples: Samples) -> Samples:
        """Mono samples at the stream's rate, shape (n,); returns those at 16 kHz that are ready, shape (m,)."""
        return samples if self._filter is None else self._filtered(self._filter, samples)

    def finish(self) -> Samples:
        """What the filter still holds, shape (m,). Nothing may be pushed afterwards."""
        nothing = np.empty(0, np.int16)
        return nothing if self._filter is None else self._filtered(self._filter, nothing, last=True)

    @staticmethod
    def _filtered(stream: soxr.ResampleStream, samples: Samples, *, last: bool = False) -> Samples:
        filtered: NDArray[np.float32] = stream.resample_chunk(samples.astype(np.float32), last=last)
        return np.clip(np.rint(filtered, out=filtered), -32_768, 32_767, out=filtered).astype(np.int16)
