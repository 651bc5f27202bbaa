"""`make soak`: runs the gate, and its negative controls where asked for; the exit code is the verdict."""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.errors import ending
from loadtests.shapes import SHAPES
from loadtests.soak.leaks import LEAKS, Leak
from loadtests.soak.report import findings_text, write_report, write_samples
from loadtests.soak.run import Plan, Run, run

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600}
_MIN_WARM_S: Final = 15.0
_MAX_WARM_S: Final = 300.0
_MAX_EVERY_S: Final = 5.0
_SAMPLES: Final = 100
_WARM_ROUNDS: Final = 3
_LONG_S: Final = 60.0
# What disturbs a short run would be all there is of it.
_DISTURBED_FROM_S: Final = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """0: it does not leak, and each control was caught; 1: otherwise, or it could not be told; 130: interrupted."""
    args = _parser().parse_args(arguments)
    with ending("soak"):
        return 0 if _soak(args) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.soak", description="Does it leak?")
    add = parser.add_argument
    add("--duration", type=_seconds, default=600.0, metavar="10m", help="of the load that is judged (default 10m)")
    add("--shape", choices=sorted(SHAPES), help="default: soak, or steady where that is shorter than 5m")
    add("--model", default="tiny.en", help="default tiny.en")
    add("--controls", nargs="*", choices=sorted(LEAKS), default=[], metavar="LEAK", help="leaks that must be found")
    add("--control-duration", type=_seconds, default=90.0, metavar="90s", help="of the load of a control")
    add("--controls-only", action="store_true", help="leave the clean run out")
    add("--folder", type=Path, help="where reports go (default bench-results/soak-<time>)")
    return parser


def _soak(args: argparse.Namespace) -> bool:
    folder: Path = args.folder or Path("bench-results") / time.strftime("soak-%Y%m%d-%H%M%S")
    passed = True
    if not args.controls_only:
        shape = args.shape or ("soak" if args.duration >= _DISTURBED_FROM_S else "steady")
        done = _run(_plan(args.model, shape, args.duration, folder))
        passed = done.passed
    for name in args.controls:
        leak = LEAKS[name]
        done = _run(_plan(args.model, "steady", args.control_duration, folder / name), leak)
        found = _is_found(done, leak)
        print(f"control {name}: {'found' if found else 'NOT FOUND'}, by {leak.names!r}", flush=True)
        passed = passed and found
    return passed


def _run(plan: Plan, leak: Leak | None = None) -> Run:
    plan.folder.mkdir(parents=True, exist_ok=True)
    print(f"{'control ' + leak.name if leak else 'soak'}: {plan.load_s:g} s of {plan.shape}, {plan.model}", flush=True)
    done = asyncio.run(run(plan, leak))
    page = plan.folder / "report.html"
    write_report(done, page)
    write_samples(done, plan.folder / "samples.jsonl")
    print(f"{findings_text(done)}\nverdict: {'pass' if done.passed else 'FAIL'}; {page}", flush=True)
    return done


def _plan(model: str, shape: str, load_s: float, folder: Path) -> Plan:
    return Plan(
        model=model,
        shape=shape,
        warm_s=min(max(_MIN_WARM_S, load_s / 10), _MAX_WARM_S),
        # A short run allows for more noise instead.
        warm_rounds=_WARM_ROUNDS if load_s >= _LONG_S else 1,
        load_s=load_s,
        every_s=min(_MAX_EVERY_S, load_s / _SAMPLES),
        folder=folder,
    )


def _is_found(done: Run, leak: Leak) -> bool:
    """Whether the finding that failed is the one that tells of this leak."""
    return any(not found.passed and leak.names in found.subject for found in done.findings)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: 90s, 10m, 8h")
    return float(match[1]) * _UNITS_S[match[2]]


if __name__ == "__main__":
    sys.exit(main())
