import numpy as np
import pytest

from loadtests.soak.memory import MIB, Held, Sample
from loadtests.soak.slopes import fit, judged_points
from loadtests.soak.thresholds import GATEWAY


def samples(*stretches: tuple[int, int]) -> list[Sample]:
    """A sample a second: pid and how many; pid 0 is a process that is away. Private memory is the second, in MiB."""
    pids = [pid for pid, count in stretches for _ in range(count)]
    return [
        Sample(at_s, {GATEWAY: Held(pid, 0, 0, at_s * MIB, 1, 1)} if pid else {}, 0, {})
        for at_s, pid in enumerate(pids)
    ]


def test_the_longest_stretch_of_one_process_is_judged_without_its_beginning() -> None:
    looked = samples((1, 30), (0, 3), (2, 50), (3, 5))
    points = judged_points(looked, GATEWAY, from_s=10, after_restart_s=7)
    assert [at_s for at_s, _ in points] == list(range(33 + 7, 83))
    assert judged_points(looked, "nobody", from_s=0, after_restart_s=0) == []


def test_a_process_that_stays_is_judged_from_the_wanted_time() -> None:
    points = judged_points(samples((1, 20)), GATEWAY, from_s=15, after_restart_s=100)
    assert points == [(at_s, at_s) for at_s in range(15, 20)]


def test_a_slope_is_found_in_noise_and_busy_moments_do_not_bend_it() -> None:
    noise = np.random.default_rng(7)
    times_s = np.arange(0, 1800, 5.0)
    values_mib = 100 + times_s / 3600 * 12 + noise.normal(0, 0.5, len(times_s))
    values_mib[::20] += 300
    line = fit(list(zip(times_s, values_mib, strict=True)), confidence=0.95)
    assert line
    assert line.low_mib_per_h < 12 < line.high_mib_per_h
    assert line.mib_per_h == pytest.approx(12, abs=1.0)
    assert line.hours == pytest.approx(0.5, abs=0.02)
    assert line.end_mib == pytest.approx(105.5, abs=0.7)


def test_too_few_points_tell_nothing() -> None:
    assert fit([(0, 1), (1, 2)], confidence=0.95) is None
