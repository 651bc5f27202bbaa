"""`make bench-streams`: people who talk live, all at once, through the whole of it; and how many it can take.

Every speaker is a WebSocket that sends its audio as it is spoken. Speakers run in this process, on the same machine.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.audio import DecodeOptions
from gateway.embedded import weights
from loadtests import report
from loadtests.accuracy import Normalizer, normalizer_for, word_error_rate
from loadtests.contenders import callers, fields_of, over_http
from loadtests.conversation import Script, scripts
from loadtests.corpus import FIXTURES, Clip, load_corpus
from loadtests.errors import ending
from loadtests.pacing import entrance_s
from loadtests.processes import ProcessTree
from loadtests.service import Service, running, started
from loadtests.speaker import Heard, speak
from loadtests.trial import Trial, judged

# Speakers come in over this time: in step, their interim results would all be due at once.
_ENTER_WITHIN_S: Final = 2.0
_MOST_SPEAKERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Stage:
    """Where trials take place."""

    http: aiohttp.ClientSession
    url: str
    tree: ProcessTree | None
    normalize: Normalizer
    query: Mapping[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the trials. 0: measured; 1: it could not be, or `--require` and a limit was missed; 130: interrupted."""
    args = _parser().parse_args(arguments)
    with ending("bench-streams"):
        corpus = load_corpus(args.audio)
        results = asyncio.run(_measure(args, corpus))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return int(args.require and not results["kept"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.streams", description=__doc__)
    add = parser.add_argument
    add("--audio", type=Path, default=FIXTURES, metavar="DIR", help="recordings with transcripts.txt (name|text)")
    add("--model", default="tiny.en", help="weights (default tiny.en)")
    add("--streams", type=int, default=16, metavar="N", help="live speakers at once (default 16)")
    add("--seconds", type=float, default=40.0, metavar="S", help="how long each speaks at least (default 40)")
    add("--silence-ms", type=int, default=500, metavar="MS", help="silence that ends an utterance (default 500)")
    add("--search", action="store_true", help="also find the largest number that keeps the limits")
    add("--require", action="store_true", help="exit with 1 when --streams speakers miss a limit")
    add("--url", help="measure a gateway that runs already; it has to let so many sessions in")
    add("--json", type=Path, metavar="PATH", help="write the figures there")
    return parser


async def _measure(args: argparse.Namespace, corpus: Sequence[Clip]) -> dict[str, Any]:
    machine = report.machine()
    if warning := report.noise_warning(machine):
        progress(warning)
    query = {"model": weights.served_id(args.model), "interim_results": "true", "silence_ms": str(args.silence_ms)}
    async with AsyncExitStack() as stack:
        stage = await _stage(stack, args, query)
        file_wer_percent = await _file_wer_percent(stage, corpus)
        progress(f"file API, the same clips one by one: WER {file_wer_percent:.2f} %")

        trials: list[dict[str, Any]] = []

        async def attempt(speakers: int) -> bool:
            trial = await _trial(stage, scripts(corpus, speakers=speakers, at_least_s=args.seconds))
            limits = trial.limits(silence_ms=args.silence_ms, file_wer_percent=file_wer_percent)
            print(f"\n{_table(trial)}\n{report.floor_lines(limits)}", flush=True)
            trials.append(trial.as_json())
            return all(limit.met for limit in limits)

        kept = await attempt(args.streams)
        most = None
        if args.search:
            most = await (largest(args.streams, None, attempt) if kept else largest(0, args.streams, attempt))
            print(f"\nlargest number of live speakers within the limits: {most}")
    facts = {"machine": machine, "model": args.model, "file_wer_percent": file_wer_percent}
    return {**facts, "trials": trials, "kept": kept, "largest": most}


async def _stage(stack: AsyncExitStack, args: argparse.Namespace, query: Mapping[str, str]) -> Stage:
    # Python itself turns SIGINT into a cancellation; SIGTERM should end what was started as well.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    service: Service
    if args.url:
        service = running(args.url, None)
    else:
        progress(f"starting tritone up --model {args.model}")
        limits = ("--max-sessions", str(_MOST_SPEAKERS), "--max-sessions-per-key", str(_MOST_SPEAKERS))
        service = await stack.enter_async_context(started(args.model, *limits))
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    return Stage(http, service.url, service.tree, normalizer_for("en"), query)


async def _file_wer_percent(stage: Stage, corpus: Sequence[Clip]) -> float:
    ask = over_http(stage.http, stage.url, fields_of(stage.query["model"], DecodeOptions()))
    answers = await callers(ask, len(os.sched_getaffinity(0)))(corpus)
    references = [stage.normalize(clip.reference) for clip in corpus]
    return word_error_rate(references, [stage.normalize(answer.text) for answer in answers])


async def _trial(stage: Stage, played: Sequence[Script]) -> Trial:
    async def enter(number: int, script: Script) -> Heard:
        await asyncio.sleep(entrance_s(number, within_s=_ENTER_WITHIN_S))
        return await speak(stage.http, stage.url, script, stage.query)

    before = await _partials(stage)
    cpu_before_s = stage.tree.cpu_s() if stage.tree else 0.0
    started_at_s = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(enter(number, script)) for number, script in enumerate(played)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    wall_s = time.perf_counter() - started_at_s
    cpu_s = stage.tree.cpu_s() - cpu_before_s if stage.tree else None
    partials = Counter(await _partials(stage))
    partials.subtract(before)
    heard = [task.result() for task in tasks]
    return judged(heard, stage.normalize, wall_s=wall_s, cpu_s=cpu_s, partials=partials)


async def _partials(stage: Stage) -> dict[str, int]:
    """How many interim results there were so far, by what became of them."""
    async with stage.http.get(f"{stage.url}/metrics") as reply:
        families = text_string_to_metric_families(await reply.text())
    samples = [sample for family in families for sample in family.samples]
    counts = {each.labels["outcome"]: int(each.value) for each in samples if each.name == "tritone_partials_total"}
    replaced = [int(each.value) for each in samples if each.name == "tritone_partials_replaced_total"]
    return {**counts, "replaced": sum(replaced)}


async def largest(good: int, bad: int | None, attempt: Callable[[int], Awaitable[bool]]) -> int:
    """Doubles from `good`, which keeps the limits, until `bad` misses one; then halves the gap to an eighth."""
    while bad is None and 2 * good <= _MOST_SPEAKERS:
        good, bad = (2 * good, None) if await attempt(2 * good) else (good, 2 * good)
    while bad is not None and bad - good > max(1, good // 8):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if await attempt(middle) else (good, middle)
    return good


def _table(trial: Trial) -> str:
    figures = trial.as_json()
    partials = ", ".join(f"{count:.0f} {outcome}" for outcome, count in sorted(trial.partials.items()))
    return "\n".join(
        (
            f"{trial.speakers} live speakers, {trial.audio_s:.0f} s of audio, {trial.finals} finals",
            f"  end of speech to final      p50 {figures['final_p50_s']:.2f} s  p95 {figures['final_p95_s']:.2f} s",
            f"  start of speech to 1st text p50 {figures['first_p50_s']:.2f} s  p95 {figures['first_p95_s']:.2f} s",
            f"  interim results             {partials}; {trial.silent_utterances} utterances without one",
            f"  WER                         {trial.wer_percent:.2f} %",
            f"  processors in use           {figures['cores']}; speakers late by up to {trial.late_s * 1000:.0f} ms",
        )
    )


def progress(text: str) -> None:
    """Tells the person at the terminal what is going on."""
    print(f"bench-streams: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
