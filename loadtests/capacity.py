"""`make capacity`: what this machine can take within the latency limits, and what an idle session costs; a table."""

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import aiohttp

from loadtests import report
from loadtests.accuracy import normalizer_for
from loadtests.conversation import Script, scripts
from loadtests.corpus import FIXTURES, Clip, load_corpus
from loadtests.errors import BenchError, ending
from loadtests.pacing import entrance_s
from loadtests.processes import ProcessTree
from loadtests.service import started
from loadtests.speaker import Heard, speak
from loadtests.storm import Caller, answered, connected, percentile_s, rate_per_s
from loadtests.streams import largest
from loadtests.trial import Trial, judged, latency_s

_SILENCE_MS: Final = 500
_MOST_FINAL_P95_S: Final = _SILENCE_MS / 1000 + 1.0
_MOST_FIRST_P50_S: Final = 1.5
_MOST_FILE_P95_S: Final = 3.0
_TALK_S: Final = 25.0
_FILES_S: Final = 20.0
_FILE_DEADLINE_S: Final = 60.0
_FIRST_STREAMS: Final = 8
_TALKERS: Final = 8
_ENTER_WITHIN_S: Final = 2.0
_IDLE_WATCH_S: Final = 30.0
_OPENED_AT_ONCE: Final = 50
_KB: Final = 1000
_SESSIONS: Final = 2048
_FILES: Final = 8192
_FLAGS: Final = (
    *("--max-sessions", str(_SESSIONS), "--max-sessions-per-key", str(_SESSIONS)),
    *("--session-idle-s", "3600"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """The service that is measured, and what is said to it."""

    http: aiohttp.ClientSession
    url: str
    tree: ProcessTree
    corpus: Sequence[Clip]


@dataclass(frozen=True, slots=True)
class Idle:
    """What `sessions` cost that are connected and say nothing."""

    sessions: int
    kb_each: float
    core_percent_each: float
    talking: Trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures. 0: done; 1: it could not be; 130: interrupted."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.capacity", description=__doc__)
    parser.add_argument("--model", default="tiny.en", help="default tiny.en")
    parser.add_argument("--idle", type=int, default=1000, metavar="N", help="idle sessions (default 1000)")
    parser.add_argument("--idle-only", action="store_true", help="leave out what takes minutes")
    args = parser.parse_args(arguments)
    # Each session is a connection here and one there; the service inherits this limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    with ending("capacity"):
        print(asyncio.run(_measure(args)))
    return 0


async def _measure(args: argparse.Namespace) -> str:
    if warning := report.noise_warning(report.machine()):
        print(f"capacity: {warning}", file=sys.stderr)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(started(args.model, *_FLAGS))
        http = await stack.enter_async_context(connected(service.url))
        assert service.tree is not None
        stage = Stage(http, service.url, service.tree, load_corpus(FIXTURES))
        await _talk(stage, 2, _TALK_S / 2)
        idle = await _idle(stage, args.idle)
        streams, files = (None, None) if args.idle_only else (await _streams(stage), await _files(stage))
    return _table(args.model, idle, streams, files)


async def _talk(stage: Stage, speakers: int, seconds: float) -> Trial:
    """So many real-time talkers with interim results, at once."""
    query = {"interim_results": "true", "silence_ms": str(_SILENCE_MS)}
    played = scripts(stage.corpus, speakers=speakers, at_least_s=seconds)
    started_at_s, cpu_before_s = time.perf_counter(), stage.tree.cpu_s()
    heard: dict[int, Heard] = {}

    async def enter(number: int, script: Script) -> None:
        await asyncio.sleep(entrance_s(number, within_s=_ENTER_WITHIN_S))
        heard[number] = await speak(stage.http, stage.url, script, query)

    await _together([enter(number, script) for number, script in enumerate(played)])
    return judged(
        [heard[number] for number in sorted(heard)],
        normalizer_for("en"),
        wall_s=time.perf_counter() - started_at_s,
        cpu_s=stage.tree.cpu_s() - cpu_before_s,
        partials={},
    )


def _keeps_limits(trial: Trial) -> bool:
    final_p95_s, first_p50_s = _latencies(trial)
    told = trial.failed == trial.foreign == trial.disordered == trial.dropped_ms == 0
    return told and final_p95_s <= _MOST_FINAL_P95_S and first_p50_s <= _MOST_FIRST_P50_S


def _latencies(trial: Trial) -> tuple[float, float]:
    return latency_s(trial.final_s, 95), latency_s(trial.first_s, 50)


async def _streams(stage: Stage) -> int:
    """The largest number of talkers within the limits."""

    async def attempt(speakers: int) -> bool:
        trial = await _talk(stage, speakers, _TALK_S)
        final_p95_s, first_p50_s = _latencies(trial)
        kept = _keeps_limits(trial)
        _progress(f"{speakers} streams: final p95 {final_p95_s:.2f} s, first p50 {first_p50_s:.2f} s, {kept=}")
        return kept

    if await attempt(_FIRST_STREAMS):
        return await largest(_FIRST_STREAMS, None, attempt)
    return await largest(0, _FIRST_STREAMS, attempt)


async def _files(stage: Stage) -> float:
    """Files an hour, by the most callers at once who are all answered within the limit."""
    caller = Caller(stage.http, [clip.path.read_bytes() for clip in stage.corpus], deadline_s=_FILE_DEADLINE_S)
    rates = {0: 0.0}

    async def attempt(callers: int) -> bool:
        began_at_s = time.monotonic()
        fates = await caller.closed_loop(callers, _FILES_S)
        done = answered(fates)
        p95_s, refused = percentile_s(done, 95), len(fates) - len(done)
        rates[callers] = 3600 * rate_per_s(done, began_at_s, _FILES_S)
        _progress(f"{callers} callers with files: {rates[callers]:,.0f} an hour, p95 {p95_s:.2f} s, {refused} refused")
        return not refused and p95_s <= _MOST_FILE_P95_S

    return rates[await largest(1, None, attempt)] if await attempt(1) else 0.0


async def _idle(stage: Stage, sessions: int) -> Idle:
    """The cost of silent sessions, and whether others can talk beside them."""
    root = stage.tree.root
    before_bytes, busy_before = root.memory_full_info().uss, await _busy_share(stage)
    async with AsyncExitStack() as stack:
        for opened in range(0, sessions, _OPENED_AT_ONCE):
            opening = [_open(stage, stack) for _ in range(min(_OPENED_AT_ONCE, sessions - opened))]
            await asyncio.gather(*opening)
        await asyncio.sleep(2)
        busy = await _busy_share(stage)
        each_bytes = (root.memory_full_info().uss - before_bytes) / sessions
        talking = await _talk(stage, _TALKERS, _TALK_S)
    return Idle(sessions, each_bytes / _KB, 100 * (busy - busy_before) / sessions, talking)


async def _open(stage: Stage, stack: AsyncExitStack) -> None:
    socket = await stack.enter_async_context(stage.http.ws_connect(f"{stage.url}/v1/stream?interim_results=true"))
    told = await socket.receive_json()
    if told["type"] != "session.started":
        raise BenchError(f"a session was not opened: {told}")


async def _busy_share(stage: Stage) -> float:
    """Cores that the gateway alone uses, over a while."""
    times, began_s = stage.tree.root.cpu_times(), time.perf_counter()
    await asyncio.sleep(_IDLE_WATCH_S)
    after = stage.tree.root.cpu_times()
    return (after.user + after.system - times.user - times.system) / (time.perf_counter() - began_s)


async def _together(calls: Sequence[Coroutine[None, None, None]]) -> None:
    """Raises the first failure."""
    try:
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _table(model: str, idle: Idle, streams: int | None, files: float | None) -> str:
    final_p95_s, first_p50_s = _latencies(idle.talking)
    machine = report.machine()
    rows = [
        (f"{model} on {machine['cores']} cores ({machine['cpu']})", "`make capacity`"),
        ("---", "--:"),
        ("an idle session: memory", f"{idle.kb_each:.1f} kB"),
        ("an idle session: processor", f"{idle.core_percent_each:.4f} % of a core"),
        (
            f"{_TALKERS} talkers beside {idle.sessions:,} idle sessions: end of speech to final, p95",
            f"{final_p95_s:.2f} s",
        ),
        (f"{_TALKERS} talkers beside {idle.sessions:,} idle sessions: first text, p50", f"{first_p50_s:.2f} s"),
    ]
    if streams is not None and files is not None:
        limits = f"final p95 <= {_MOST_FINAL_P95_S:g} s, first text p50 <= {_MOST_FIRST_P50_S:g} s"
        rows += [
            (f"live streams at real-time pace ({limits})", f"{streams}"),
            (f"short files an hour (p95 <= {_MOST_FILE_P95_S:g} s)", f"{files:,.0f}"),
        ]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def _progress(text: str) -> None:
    print(f"capacity: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
