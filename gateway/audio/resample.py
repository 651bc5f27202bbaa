"""Brings one stream to 16 kHz; the only importer of soxr."""

import numpy as np
import soxr

from gateway.core.audio import SAMPLE_RATE_HZ, Samples

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000


class Resampler:
    """Keeps the filter's state of one stream, so that the pieces' seams can't be heard.

    The caller checks `rate_hz`: MIN_RATE_HZ..MAX_RATE_HZ. Memory is a filter's length, whatever the stream's.
    """

    def __init__(self, rate_hz: int) -> None:
        same = rate_hz == SAMPLE_RATE_HZ
        self._filter = None if same else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="int16", quality="HQ")

    def push(self, samples: Samples) -> Samples:
        """Mono samples at the stream's rate, shape (n,); returns those at 16 kHz that are ready, shape (m,)."""
        return samples if self._filter is None else self._filter.resample_chunk(samples)

    def finish(self) -> Samples:
        """What the filter still holds, shape (m,). Nothing may be pushed afterwards."""
        nothing = np.empty(0, np.int16)
        return nothing if self._filter is None else self._filter.resample_chunk(nothing, last=True)
