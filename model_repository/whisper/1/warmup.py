"""Runs every window once before the first caller does, so that no request pays for memory and kernels set up late."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from decode import Decoder
from layout import Layout
from options import Options
from windows import BUCKETS_FRAMES, SAMPLES_PER_FRAME


def warm_up(decoder: Decoder, layout: Layout) -> None:
    """Decode noise in each window, on all workers. What the model raises is raised: one that can't is not ready."""
    noise = np.random.default_rng(0).normal(0, 300, BUCKETS_FRAMES[-1] * SAMPLES_PER_FRAME).astype(np.int16)

    def decode(frames: int) -> None:
        samples = noise[: int((frames - 200) / 1.25) * SAMPLES_PER_FRAME]
        options = Options(language="en", beam_size=1, full_window=frames == BUCKETS_FRAMES[-1])
        job = decoder.job(samples, options, is_cancelled=lambda: False, reply=lambda outcome: None)
        for _ in decoder.decode([job]):
            pass

    with ThreadPoolExecutor(layout.workers) as pool:
        list(pool.map(decode, (*reversed(BUCKETS_FRAMES), BUCKETS_FRAMES[0])))
