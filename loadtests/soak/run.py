"""One run of the gate: a service of its own, warmed up, counted, loaded, counted again, and judged."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp

from loadtests.errors import BenchError
from loadtests.pacing import entrance_s
from loadtests.service import Service, started
from loadtests.shapes import SHAPES
from loadtests.soak.leaks import Leak
from loadtests.soak.ledger import DISTURBANCE, Entry, read_ledger
from loadtests.soak.memory import HELD, MIB, Sample, Sampler, at_least, at_most
from loadtests.soak.slopes import Fit, fit, judged_points
from loadtests.soak.thresholds import GATEWAY, PROCESSES, THRESHOLDS
from loadtests.soak.verdict import Evidence, Finding, judge

# Short limits, so that each of them is reached many times, and an idle service is soon idle.
SETTINGS: Final[Mapping[str, str]] = {
    "TRITONE_SESSION_GRACE_S": "3",
    "TRITONE_SESSION_IDLE_S": "6",
    "TRITONE_UPLOAD_IDLE_S": "4",
    "TRITONE_KEEPALIVE_S": "4",
    # aiohttp holds on to a connection that ended until its next ping was due.
    "TRITONE_HEARTBEAT_S": "5",
}
_ROOT: Final = Path(__file__).resolve().parents[2]
_CORE_USERS: Final = (
    ("stream", "end of speech to final"),
    ("realtime", "end of speech to completed"),
    ("file", "upload to answer, short file"),
    ("rude", "opens and closes"),
)
_ALL_USERS: Final = (
    *_CORE_USERS,
    *(("stream", "first partial"), ("file", "upload to answer, long file")),
    *(("rude", name) for name in ("50 x real time", "abandons", "never reads", "resumes")),
    *(("rude", name) for name in ("says nothing", "sends garbage", "uploads at 100 B/s")),
)
# In less time some of them have no turn.
_ALL_HAVE_A_TURN_S: Final = 120.0
_IDLE_LOOKS: Final = 8
_IDLE_SECONDS: Final = 20
_TRACE_S: Final = 15
_HTTP_S: Final = 60.0
_STUCK_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long which part takes, and where its files go. A round of warm-up is repeated until memory settles."""

    model: str
    shape: str
    warm_s: float
    warm_rounds: int
    load_s: float
    every_s: float
    folder: Path


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured and what it means. `marks` are the beginnings of the parts, in Unix time."""

    plan: Plan
    leak: str | None
    samples: Sequence[Sample]
    marks: Mapping[str, float]
    evidence: Evidence
    findings: Sequence[Finding]
    allocations: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether every finding is as it should be."""
        return all(finding.passed for finding in self.findings)


async def run(plan: Plan, leak: Leak | None = None) -> Run:
    """Runs and judges. Raises BenchError when the service or Locust can't be run at all."""
    program = leak.program if leak else ("gateway",)
    environment = {**SETTINGS, **(leak.environment if leak else {})}
    timeout = aiohttp.ClientTimeout(total=_HTTP_S + _TRACE_S)
    async with (
        started(plan.model, program=program, environment=environment) as service,
        # One connection: a second one would come and go among the counts.
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=1)) as http,
    ):
        assert service.tree is not None
        soak = _Soak(plan, service, Sampler(http, service.url, service.tree))
        async with soak.watching():
            return await soak.judged(leak)


class _Soak:
    """A run that is under way."""

    def __init__(self, plan: Plan, service: Service, sampler: Sampler) -> None:
        self._plan = plan
        self._service = service
        self._sampler = sampler
        self._samples: list[Sample] = []
        self._marks: dict[str, float] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks at the service all the time."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def judged(self, leak: Leak | None) -> Run:
        """The parts of the run, in order."""
        await self._warm_up()
        looks, idle_before = await self._idle("idle before", None)
        before = at_most(looks)
        entries = await self._load(self._plan.shape, self._plan.load_s)
        ended_s = time.time()
        looks, idle_after = await self._idle("idle after", before)
        after = at_least(looks)
        fits = self._fits(entries, ended_s)
        expected = _expected(self._plan)
        evidence = Evidence(before, after, idle_before, idle_after, fits, entries, expected)
        findings = judge(evidence, THRESHOLDS)
        grows = any(not each.passed and each.subject.endswith(f"memory of {GATEWAY}") for each in findings)
        allocations = await self._trace() if grows else []
        return Run(
            self._plan, leak.name if leak else None, tuple(self._samples), self._marks, evidence, findings,
            allocations,
        )  # fmt: skip

    async def _watch(self) -> None:
        while True:
            # A gateway that does not answer is seen by the users; memory is looked at again later.
            with suppress(aiohttp.ClientError, TimeoutError):
                self._samples.append(await self._sampler.look())
            await asyncio.sleep(self._plan.every_s)

    async def _warm_up(self) -> None:
        for _ in range(self._plan.warm_rounds):
            first = len(self._samples)
            await self._load("warmup", self._plan.warm_s)
            if all(self._settled(process, self._samples[first:]) for process in PROCESSES):
                return

    @staticmethod
    def _settled(process: str, samples: Sequence[Sample]) -> bool:
        sizes = [sample.processes[process].uss_bytes / MIB for sample in samples if process in sample.processes]
        third = len(sizes) // 3
        if not third:
            return True
        return abs(median(sizes[-third:]) - median(sizes[-2 * third : -third])) <= THRESHOLDS.settled_mib

    async def _idle(self, name: str, wanted: Mapping[str, float] | None) -> tuple[list[dict[str, float]], Sample]:
        """The counts of the idle gateway in several looks."""
        self._marks[name] = time.time()
        for _ in range(_IDLE_SECONDS):
            if await self._at_rest(wanted):
                break
            await asyncio.sleep(1.0)
        looks = []
        for look in range(_IDLE_LOOKS):
            looks.append(await self._sampler.census())
            # Never in step with the warden's own checks, which come every half second.
            await asyncio.sleep(entrance_s(look, within_s=1.0))
        return looks, await self._sampler.look()

    async def _at_rest(self, wanted: Mapping[str, float] | None) -> bool:
        counts = await self._sampler.census()
        if wanted is None:
            return not any(counts[name] for name in HELD if name != "tritone_tasks")
        return all(count <= wanted.get(name, 0) for name, count in counts.items())

    async def _load(self, shape: str, duration_s: float) -> list[Entry]:
        folder = self._plan.folder
        ledger = folder / f"{shape}.jsonl"
        if shape not in self._marks:
            ledger.unlink(missing_ok=True)  # of a run before in the same folder
            self._marks[shape] = time.time()
        with (folder / "locust.log").open("a") as log:
            locust = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary"),
                *("--host", self._service.url, "--shape", shape, "--duration-s", str(duration_s)),
                *("--served-model", self._plan.model, "--ledger", str(ledger), "--csv", str(folder / shape)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_ROOT,
            )
            try:
                async with asyncio.timeout(duration_s + _STUCK_S):
                    code = await locust.wait()
            except TimeoutError:
                raise BenchError(f"Locust did not end; see {folder / 'locust.log'}") from None
            finally:
                if locust.returncode is None:
                    locust.kill()
                    await locust.wait()
        if code not in (0, 1):
            raise BenchError(f"Locust ended with {code}; see {folder / 'locust.log'}")
        return read_ledger(ledger)

    def _fits(self, entries: Sequence[Entry], ended_s: float) -> dict[str, Fit | None]:
        began_s = self._marks[self._plan.shape]
        from_s = began_s + THRESHOLDS.skipped_share * self._plan.load_s
        after_restart_s = THRESHOLDS.skipped_after_restart_share * self._plan.load_s
        disturbed_s = [entry.at_s for entry in entries if entry.kind == DISTURBANCE]
        from_s = max([from_s, *(at_s + after_restart_s for at_s in disturbed_s)])
        loaded = [sample for sample in self._samples if began_s <= sample.at_s <= ended_s]
        points = {
            process: judged_points(loaded, process, from_s=from_s, after_restart_s=after_restart_s)
            for process in PROCESSES
        }
        return {process: fit(each, confidence=THRESHOLDS.confidence) for process, each in points.items()}

    async def _trace(self) -> list[str]:
        """Which lines of the gateway allocate, under the load once more."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._load("steady", 2.5 * _TRACE_S))
            await asyncio.sleep(_TRACE_S)
            tracing = group.create_task(self._sampler.allocations(_TRACE_S))
        return tracing.result()


def _expected(plan: Plan) -> list[tuple[str, str]]:
    users = _ALL_USERS if plan.load_s >= _ALL_HAVE_A_TURN_S else _CORE_USERS
    return [*users, *((DISTURBANCE, name) for _, name in SHAPES[plan.shape].disturbances)]
