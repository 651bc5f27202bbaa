"""What the users wrote down: every outcome with its time, summed up by kind and name."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

DISTURBANCE: Final = "disturbance"
_PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Entry:
    """One outcome: ok, shed or failed, at a Unix time, with why it failed."""

    at_s: float
    kind: str
    name: str
    ms: float
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tally:
    """One kind of thing that users did; the times in ms of those that went well."""

    kind: str
    name: str
    ok: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def read_ledger(path: Path) -> list[Entry]:
    """The entries in the order in which they were written."""
    return [Entry(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def tallies(entries: Iterable[Entry]) -> list[Tally]:
    """By kind and name; what was shed is counted by `shed`."""
    times: Mapping[tuple[str, str], list[float]] = defaultdict(list)
    failed: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        key = entry.kind, entry.name
        if entry.outcome == "ok":
            times[key].append(entry.ms)
        elif entry.outcome == "failed":
            failed[key] += 1
    keys = sorted({*times, *failed})
    return [Tally(*key, len(times[key]), failed[key], *_percentiles(times[key])) for key in keys]


def shed(entries: Iterable[Entry]) -> Counter[str]:
    """What was refused for want of room, by who and why."""
    return Counter(entry.name for entry in entries if entry.outcome == "shed")


def failures(entries: Iterable[Entry]) -> Counter[str]:
    """What went wrong, by who and why."""
    return Counter(f"{entry.kind} {entry.name}: {entry.detail}" for entry in entries if entry.outcome == "failed")


def _percentiles(times_ms: Sequence[float]) -> tuple[float, float, float]:
    if not times_ms:
        return (float("nan"),) * 3
    p50_ms, p95_ms, p99_ms = (float(value) for value in np.percentile(times_ms, _PERCENTILES))
    return p50_ms, p95_ms, p99_ms
