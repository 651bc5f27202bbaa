"""Turns audio that comes in pieces of any length into whole frames."""

import numpy as np

from gateway.core.audio import FRAME_SAMPLES, Samples


class Framer:
    """Keeps the unfinished frame, fewer than FRAME_SAMPLES samples, until the next piece completes it."""

    def __init__(self) -> None:
        self._rest: Samples = np.empty(0, np.int16)

    def push(self, samples: Samples) -> Samples:
        """The whole frames there are now, shape (n,), n a multiple of FRAME_SAMPLES."""
        joined = np.concatenate((self._rest, samples))
        whole = len(joined) - len(joined) % FRAME_SAMPLES
        self._rest = joined[whole:].copy()
        return joined[:whole]

    def finish(self) -> Samples:
        """The unfinished frame, shape (n,), n less than FRAME_SAMPLES; the framer is empty afterwards."""
        rest, self._rest = self._rest, np.empty(0, np.int16)
        return rest
