"""Whether it leaks: every finding against its limit. No clock, no process, no file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadtests.soak import ledger
from loadtests.soak.ledger import Entry
from loadtests.soak.memory import HELD, MIB, Sample
from loadtests.soak.slopes import Fit
from loadtests.soak.thresholds import PROCESSES, Thresholds


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was judged: what it is, what was measured, and what it should have been."""

    subject: str
    measured: str
    limit: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a run has brought: counts of the idle gateway before and after, lines through memory, outcomes."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    idle_before: Sample
    idle_after: Sample
    fits: Mapping[str, Fit | None]
    entries: Sequence[Entry]
    expected: Sequence[tuple[str, str]]


def judge(evidence: Evidence, thresholds: Thresholds) -> list[Finding]:
    """Every finding; the run has passed when all of them have."""
    return [
        *_growth(evidence, thresholds),
        *_shm(evidence, thresholds),
        *_device(evidence, thresholds),
        *_counts(evidence, thresholds),
        *_work(evidence, thresholds),
        _last(evidence.entries, thresholds),
    ]


def _growth(evidence: Evidence, thresholds: Thresholds) -> Iterator[Finding]:
    for process in PROCESSES:
        subject, line = f"private memory of {process}", evidence.fits.get(process)
        if line is None:
            yield Finding(subject, "too few samples", "enough to fit a line", passed=False)
            continue
        limit = thresholds.growth[process].limit_mib_per_h(line.hours)
        measured = (
            f"{line.mib_per_h:+.1f} MiB/h ({line.low_mib_per_h:+.1f} to {line.high_mib_per_h:+.1f}), "
            f"{line.end_mib - line.start_mib:+.1f} MiB in {60 * line.hours:.1f} min"
        )
        allowed = f"lower bound at most {limit:.1f} MiB/h"
        yield Finding(subject, measured, allowed, passed=line.low_mib_per_h <= limit)


def _shm(evidence: Evidence, thresholds: Thresholds) -> Iterator[Finding]:
    kills = sum(entry.outcome == "ok" and entry.name == "model killed" for entry in evidence.entries)
    grown = (evidence.idle_after.shm_bytes - evidence.idle_before.shm_bytes) / MIB
    limit = thresholds.shm_mib_per_kill * kills
    yield Finding("shared memory", f"{grown:+.1f} MiB", f"at most {limit:+.1f} MiB ({kills} kills)", grown <= limit)


def _device(evidence: Evidence, thresholds: Thresholds) -> Iterator[Finding]:
    before, after = evidence.idle_before.device_bytes, evidence.idle_after.device_bytes
    if before is None or after is None:
        return
    grown, limit = (after - before) / MIB, thresholds.device_mib
    yield Finding("memory of the GPU", f"{grown:+.1f} MiB", f"at most {limit:+.1f} MiB", grown <= limit)


def _counts(evidence: Evidence, thresholds: Thresholds) -> Iterator[Finding]:
    """What is held must be what it was. Of objects there may be fewer: what the warm-up had made is gone by then."""
    for name in sorted({*evidence.before, *evidence.after}):
        before, after = evidence.before.get(name, 0), evidence.after.get(name, 0)
        passed = after == before if name in HELD else after <= max(before, thresholds.bounded.get(name, 0))
        if name in HELD or not passed or name in ("pending_futures", "files") or name.startswith("threads"):
            yield Finding(f"gateway: {name}", f"{before:g} -> {after:g}", "back where it was", passed)


def _last(entries: Sequence[Entry], thresholds: Thresholds) -> Finding:
    """Whether it still serves in the end: a service that refuses everything leaks nothing."""
    began_s, ended_s = min((e.at_s for e in entries), default=0.0), max((e.at_s for e in entries), default=0.0)
    from_s = ended_s - thresholds.last_share * (ended_s - began_s)
    last = [entry for entry in entries if entry.at_s >= from_s]
    refused = ledger.shed(last).total()
    passed = bool(last) and refused <= thresholds.refused_share * len(last)
    measured = f"{refused} of the last {len(last)} refused"
    return Finding("still served in the end", measured, f"at most {thresholds.refused_share:.0%}", passed)


def _work(evidence: Evidence, thresholds: Thresholds) -> Iterator[Finding]:
    wrong = ledger.failures(evidence.entries)
    worst = "; ".join(f"{count} x {what}" for what, count in wrong.most_common(3))
    failed = wrong.total()
    measured = f"{failed} of {len(evidence.entries)}" + f" ({worst})" * bool(worst)
    yield Finding(
        "failed requests, wrong words", measured, f"at most {thresholds.failed_requests}",
        passed=failed <= thresholds.failed_requests,
    )  # fmt: skip
    done = {(tally.kind, tally.name): tally.ok for tally in ledger.tallies(evidence.entries)}
    missing = [
        f"{kind} {name}" for kind, name in evidence.expected if done.get((kind, name), 0) < thresholds.least_successes
    ]
    yield Finding(
        "users that got an answer",
        "all kinds" if not missing else f"none: {', '.join(missing)}",
        f"each at least {thresholds.least_successes}",
        passed=not missing,
    )
