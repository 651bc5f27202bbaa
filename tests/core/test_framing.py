"""The framer gives back what it got, in whole frames."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audio import FRAME_SAMPLES
from gateway.core.framing import Framer


@given(st.lists(st.integers(0, 1_000)))
def test_nothing_is_lost_and_frames_are_whole(lengths: list[int]) -> None:
    samples = np.arange(sum(lengths)).astype(np.int16)
    framer = Framer()
    frames = [framer.push(piece) for piece in np.split(samples, np.cumsum(lengths[:-1], dtype=int))]
    rest = framer.finish()
    assert all(len(piece) % FRAME_SAMPLES == 0 for piece in frames)
    assert len(rest) < FRAME_SAMPLES
    np.testing.assert_array_equal(np.concatenate([*frames, rest]), samples)
    assert len(framer.finish()) == 0
