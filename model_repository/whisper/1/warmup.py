"""Runs the model before the first caller does, so that no request pays for memory and kernels set up late.

The largest window is what matters: after it, the first run of any other was as fast as the second.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from decode import Decoder
from layout import Layout
from options import Options
from windows import MAX_SAMPLES


def warm_up(decoder: Decoder, layout: Layout) -> None:
    """Decode noise on all workers at once. What the model raises is raised: one that can't is not ready."""
    noise = np.random.default_rng(0).normal(0, 300, MAX_SAMPLES).astype(np.int16)
    options = Options(language="en", beam_size=1)

    def decode() -> None:
        job = decoder.job(noise, options, is_cancelled=lambda: False, reply=lambda outcome: None)
        for _ in decoder.decode([job]):
            pass

    with ThreadPoolExecutor(layout.workers) as pool:
        for done in [pool.submit(decode) for _ in range(layout.workers)]:
            done.result()
