"""`make bench-overload`: several times the load that the service can carry, and what it still promises then."""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.corpus import FIXTURES, load_corpus
from loadtests.errors import BenchError, ending
from loadtests.service import running, started
from loadtests.storm import Caller, Fate, answered, connected, percentile_s, rate_per_s, refused

_CALLERS: Final = 32
_CAPACITY_S: Final = 20.0
_CALM_ASKS: Final = 10
# Whoever is inside when the storm ends is answered first.
_CALM_FACTOR: Final = 2.0
_CALM_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What is promised."""

    reject_p99_s: float = 0.1
    goodput: float = 0.9
    late_s: float = 0.6
    calm_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured; rates are requests a second."""

    capacity_per_s: float
    asked_per_s: float
    goodput_per_s: float
    statuses: dict[int, int]
    reject_p99_s: float
    latest_s: float
    calm_after_s: float

    def missed(self, limits: Limits) -> list[str]:
        """The promises that do not hold."""
        found = (
            (self.reject_p99_s <= limits.reject_p99_s, f"rejects p99 {self.reject_p99_s * 1000:.0f} ms"),
            (self.goodput_per_s >= limits.goodput * self.capacity_per_s, f"goodput {self.goodput_per_s:.1f}/s"),
            (self.latest_s <= limits.late_s, f"an answer {self.latest_s:.2f} s after its deadline"),
            (self.calm_after_s <= limits.calm_s, f"calm after {self.calm_after_s:.1f} s"),
            (set(self.statuses) <= {200, 503}, f"statuses {self.statuses}"),
        )
        return [text for holds, text in found if not holds]

    def __str__(self) -> str:
        return (
            f"capacity {self.capacity_per_s:.1f}/s; asked {self.asked_per_s:.1f}/s, answered "
            f"{self.goodput_per_s:.1f}/s, {self.statuses}\n"
            f"rejects p99 {self.reject_p99_s * 1000:.0f} ms; latest answer {self.latest_s:+.2f} s from its deadline; "
            f"calm {self.calm_after_s:.1f} s after the storm"
        )


async def measured(caller: Caller, *, factor: float, seconds: float, deadline_s: float) -> Findings:
    """Calm, capacity, storm, calm again."""
    calm_s = percentile_s([await caller.ask() for _ in range(_CALM_ASKS)], 50)
    began_at_s = time.monotonic()
    closed = await caller.closed_loop(_CALLERS, _CAPACITY_S)
    # Without the start, when nobody waits yet, and the end, when nobody comes any more.
    capacity_per_s = rate_per_s(answered(closed), began_at_s + 2, _CAPACITY_S - 2)
    if not capacity_per_s:
        raise BenchError(f"nothing was answered: {Counter(fate.status for fate in closed)}")
    began_at_s = time.monotonic()
    fates = await caller.open_loop(factor * capacity_per_s, seconds)
    after = await _calm_after(caller, _CALM_FACTOR * calm_s, fates)
    told = [fate.elapsed_s for fate in fates if fate.status not in (0, 503)]
    return Findings(
        capacity_per_s=capacity_per_s,
        asked_per_s=len(fates) / seconds,
        goodput_per_s=rate_per_s(answered(fates), began_at_s + 2, seconds - 2),
        statuses=dict(Counter(fate.status for fate in fates)),
        reject_p99_s=percentile_s(refused(fates), 99),
        latest_s=max(told, default=0.0) - deadline_s,
        calm_after_s=after,
    )


async def _calm_after(caller: Caller, usual_s: float, storm: Sequence[Fate]) -> float:
    """From the last request of the storm until one is answered as fast as usual."""
    dropped_at_s = max(fate.came_at_s for fate in storm)
    while (now_s := time.monotonic()) < dropped_at_s + _CALM_WITHIN_S:
        fate = await caller.ask()
        if answered([fate]) and fate.elapsed_s <= usual_s:
            return now_s - dropped_at_s
    return float("inf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. 0: everything holds; 1: something does not."""
    args = _parser().parse_args(arguments)
    with ending("overload"):
        findings = asyncio.run(_run(args))
    print(findings)
    missed = findings.missed(Limits())
    for text in missed:
        print(f"MISSED: {text}")
    return 1 if missed else 0


async def _run(args: argparse.Namespace) -> Findings:
    clips = [clip.path.read_bytes() for clip in load_corpus(args.audio)]
    service = nullcontext(running(args.url, None)) if args.url else started(args.model)
    async with service as found, connected(found.url) as http:
        caller = Caller(http, clips, deadline_s=args.deadline_s)
        return await measured(caller, factor=args.factor, seconds=args.seconds, deadline_s=args.deadline_s)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.overload", description=__doc__)
    add = parser.add_argument
    add("--audio", type=Path, default=FIXTURES, metavar="DIR", help="recordings with transcripts.txt (name|text)")
    add("--model", default="tiny.en", help="weights (default tiny.en)")
    add("--factor", type=float, default=3.0, help="times the measured capacity (default 3)")
    add("--seconds", type=float, default=120.0, help="how long (default 120)")
    add("--deadline-s", type=float, default=10.0, help="each request's timeout_s (default 10)")
    add("--url", help="measure a gateway that runs already")
    return parser


if __name__ == "__main__":
    sys.exit(main())
