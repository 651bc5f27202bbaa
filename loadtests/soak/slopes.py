"""How steadily something grows: Theil-Sen's slope with its confidence interval, over the stretch that can be judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from scipy.stats import theilslopes

from loadtests.soak.memory import MIB, Sample

HOUR_S: Final = 3600.0
# Of each stretch the least counts: a busy moment takes memory and gives it back, a leak lifts what is left between two.
_STRETCHES: Final = 30
_FEWEST: Final = 5

Points: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Fit:
    """A line in MiB over Unix time, from `start_s` to `end_s`; its slope lies between `low` and `high`."""

    start_s: float
    end_s: float
    start_mib: float
    mib_per_h: float
    low_mib_per_h: float
    high_mib_per_h: float

    @property
    def hours(self) -> float:
        """How long it was watched."""
        return (self.end_s - self.start_s) / HOUR_S

    @property
    def end_mib(self) -> float:
        """Where the line ends."""
        return self.start_mib + self.mib_per_h * self.hours


def judged_points(samples: Sequence[Sample], process: str, *, from_s: float, after_restart_s: float) -> Points:
    """Private memory (MiB) of the longest stretch after `from_s` without a new process, its beginning left out."""
    longest: list[tuple[float, float]] = []
    current: list[tuple[float, float]] = []
    pid, since_s = -1, from_s
    for sample in samples:
        held = sample.processes.get(process)
        if held is None:
            continue
        if held.pid != pid:
            # The process that was there from the beginning is warm.
            since_s = sample.at_s + after_restart_s if pid >= 0 else from_s
            pid, current = held.pid, []
        if sample.at_s >= max(since_s, from_s):
            current.append((sample.at_s, held.uss_bytes / MIB))
        longest = max(longest, current, key=len)
    return longest


def fit(points: Points, *, confidence: float) -> Fit | None:
    """The line through the points; None where there are too few to tell."""
    if len(points) < _FEWEST:
        return None
    stretches = np.array_split(np.asarray(points), min(_STRETCHES, len(points)))
    times_s = np.array([np.mean(stretch[:, 0]) for stretch in stretches])
    values_mib = np.array([np.min(stretch[:, 1]) for stretch in stretches])
    found = theilslopes(values_mib, (times_s - times_s[0]) / HOUR_S, confidence)
    return Fit(
        start_s=float(times_s[0]),
        end_s=float(times_s[-1]),
        start_mib=float(found.intercept),
        mib_per_h=float(found.slope),
        low_mib_per_h=float(found.low_slope),
        high_mib_per_h=float(found.high_slope),
    )
