"""`make bench`: Tritone beside faster-whisper on the same recordings, in one run; a table, and JSON of every round.

Processor time is that of the processes that transcribe; the clients run in this one and are not counted.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from gateway import flags
from gateway.embedded import weights
from loadtests import report
from loadtests.accuracy import normalizer_for
from loadtests.corpus import FIXTURES, Clip, join, load_corpus
from loadtests.errors import ending
from loadtests.lineup import KEYS, Conditions, Lineup, Recordings, record
from loadtests.measure import compare, warm_up
from loadtests.rows import Floor, Row, floors
from loadtests.scaling import HOUR_S, Scaling, hour_file, measure_scaling, scaling_floors
from loadtests.service import Service, running, started

_ROOT: Final = Path(__file__).resolve().parents[1]
# Sixteen clients with fewer than two clips each would measure the start and the end of a burst.
_FEWEST_CLIPS: Final = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What one beam size gave."""

    beam_size: int
    rows: dict[str, Row]
    scaling: Scaling | None
    floors: tuple[Floor, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark. 0: measured; 1: it could not be, or `--require` and a floor was missed; 130: interrupted."""
    args = _parser().parse_args(arguments)
    with ending("bench"), tempfile.TemporaryDirectory(prefix="tritone-bench-") as folder:
        return _measure_and_report(args, Path(folder))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="Tritone beside faster-whisper.")
    add = parser.add_argument
    add("--audio", type=Path, default=FIXTURES, metavar="DIR", help="recordings with transcripts.txt (name|text)")
    add("--model", default="base", help="weights for everybody (default base)")
    add("--beam-size", type=int, nargs="+", default=[1], metavar="N", help="one or more, in turn (default 1)")
    add("--language", metavar="CODE", help="tell everybody the language (default: all detect it)")
    add("--timestamps", action="store_true", help="everybody decodes timestamps")
    add("--rounds", type=int, default=3, metavar="N", help="timed passes of each (default 3)")
    add("--repeat", type=int, metavar="N", help=f"play the clips N times (default: until they are {_FEWEST_CLIPS})")
    add("--only", nargs="+", choices=KEYS, default=list(KEYS), metavar="KEY", help=f"some of {' '.join(KEYS)}")
    add("--scaling", action="store_true", help="also 4 x the files, and an hour in one file")
    add("--require", action="store_true", help="exit with 1 when a floor is missed")
    add("--url", help="measure a gateway that runs already")
    add("--triton", metavar="HOST:PORT", help="with --url: gRPC address of its Triton")
    add("--json", type=Path, metavar="PATH", help="where the results go (default bench-results/<time>.json)")
    return parser


def _measure_and_report(args: argparse.Namespace, folder: Path) -> int:
    machine = report.machine()
    created_at = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    if warning := report.noise_warning(machine):
        progress(warning)
    corpus = load_corpus(args.audio)
    audio_s = sum(clip.duration_s for clip in corpus)
    repeat = args.repeat or -(-_FEWEST_CLIPS // len(corpus))
    progress(f"{len(corpus)} clips of {audio_s:.1f} s in all, {repeat} times a round, from {args.audio}")
    recordings = record(corpus, folder, repeat=repeat)
    hour = join(corpus, hour_file(folder), at_least_s=HOUR_S) if args.scaling else None
    cache_dir = flags.from_args(argparse.Namespace(), os.environ).cache_dir
    weights_folder = weights.fetch(args.model, cache_dir, progress)
    outcomes = asyncio.run(_measure(args, weights_folder, recordings, hour))
    path = args.json or _ROOT / "bench-results" / f"{created_at}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    results = {
        "created_at": created_at,
        "machine": machine,
        "options": options,
        "corpus": {"clips": len(corpus), "audio_s": audio_s, "repeat": repeat},
        "beams": [_outcome_json(outcome) for outcome in outcomes],
    }
    path.write_text(json.dumps(results, indent=1))
    for outcome in outcomes:
        _print(outcome, args)
    print(f"\n{path}")
    return int(args.require and not all(floor.met for outcome in outcomes for floor in outcome.floors))


async def _measure(
    args: argparse.Namespace, weights_folder: Path, recordings: Recordings, hour: Clip | None
) -> list[Outcome]:
    task = asyncio.current_task()
    assert task is not None
    # Python itself turns SIGINT into a cancellation; SIGTERM should end what was started as well.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as stack:
        if args.url:
            service = running(args.url, args.triton)
        else:
            progress(f"starting tritone up --model {args.model}")
            service = await stack.enter_async_context(started(args.model))
        outcomes = []
        for beam_size in args.beam_size:
            conditions = Conditions(
                weights.served_id(args.model), weights_folder, beam_size, args.language, args.timestamps
            )
            outcomes.append(await _one_beam(args, service, conditions, recordings, hour))
        return outcomes


async def _one_beam(
    args: argparse.Namespace, service: Service, conditions: Conditions, recordings: Recordings, hour: Clip | None
) -> Outcome:
    normalize = normalizer_for(conditions.language)
    async with AsyncExitStack() as stack:
        keys = {*args.only, "c16", "d"} if hour else set(args.only)
        contenders = await Lineup(stack, service, conditions, recordings).build(sorted(keys), progress)
        await warm_up(contenders, progress)
        rows = await compare(contenders, normalize, rounds=args.rounds, progress=progress)
        scaling = None
        if hour:
            by_key = {contender.key: contender for contender in contenders}
            scaling = await measure_scaling(by_key, hour, normalize, rounds=args.rounds, progress=progress)
    met = [*floors(rows, beam_size=conditions.beam_size), *(scaling_floors(scaling) if scaling else ())]
    return Outcome(conditions.beam_size, {key: rows[key] for key in KEYS if key in rows}, scaling, tuple(met))


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "beam_size": outcome.beam_size,
        "rows": [report.row_json(row) for row in outcome.rows.values()],
        "floors": [report.floor_json(floor) for floor in outcome.floors],
        "scaling": outcome.scaling and dataclasses.asdict(outcome.scaling),
    }


def _print(outcome: Outcome, args: argparse.Namespace) -> None:
    # faster-whisper encodes a second time to detect the language, so telling it is the stricter comparison.
    language = args.language or "detected (the stricter comparison tells it: --language)"
    print(f"\n{args.model}, beam {outcome.beam_size}, language {language}, medians of {args.rounds} rounds\n")
    print(report.table(outcome.rows.values()))
    print(f"\n{report.floor_lines(outcome.floors)}")


def progress(text: str) -> None:
    """Tells the person at the terminal what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
