"""What the service holds: memory, threads and files of each process, shared memory, and the gateway's own counts."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from loadtests.processes import SERVER, STUB, ProcessTree
from loadtests.soak.thresholds import GATEWAY, MODEL, TRITON

MIB: Final = 1024 * 1024
# Read from /metrics: what is held now. They must be exactly what they were.
HELD: Final = (
    "tritone_requests_in_progress",
    "tritone_uploads_in_progress",
    "tritone_upload_bytes_held",
    "tritone_contexts",
    "tritone_open_requests",
    "tritone_utterances_in_flight",
    "tritone_utterances_waiting",
    "tritone_waiting_audio_seconds",
    "tritone_sessions",
    "tritone_sessions_detached",
    "tritone_live_audio_bytes",
    "tritone_tasks",
)
_SHM_DIR: Final = Path("/dev/shm")  # noqa: S108 - where regions of shared memory are
_SHM_PREFIX: Final = re.compile(r"shm-region-prefix-name=(\S+)")
_BLOCK_BYTES: Final = 512
_NVIDIA_SMI_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds. `uss_bytes` is its own alone; pages that several share are divided in `pss_bytes`."""

    pid: int
    rss_bytes: int
    pss_bytes: int
    uss_bytes: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look (`at_s` is Unix time). A process that is away, between its death and its return, is missing.

    `device_bytes` is the memory in use on all GPUs together, None without one.
    """

    at_s: float
    processes: Mapping[str, Held]
    shm_bytes: int
    counts: Mapping[str, float]
    device_bytes: int | None = None


class Sampler:
    """Looks at one service on this machine."""

    def __init__(self, http: aiohttp.ClientSession, url: str, tree: ProcessTree) -> None:
        self._http = http
        self._url = url
        self._tree = tree

    async def look(self) -> Sample:
        """Processes and what /metrics tells. Raises aiohttp.ClientError when the gateway does not answer."""
        at_s = time.time()
        processes, shm_bytes, device_bytes = await asyncio.to_thread(self._look_outside)
        async with self._http.get(f"{self._url}/metrics") as answer:
            page = await answer.text()
        return Sample(at_s, processes, shm_bytes, _held(page), device_bytes)

    async def census(self) -> dict[str, float]:
        """Every count of the gateway after a collection: what /metrics tells, pending futures, objects by type."""
        async with self._http.get(f"{self._url}/debug/memory?collect=true") as answer:
            body: dict[str, Any] = await answer.json()
        counts = {name: float(body[name]) for name in ("pending_futures", "files")}
        threads = {f"threads {name}": float(count) for name, count in body["threads"].items()}
        objects = {f"objects of {name}": float(count) for name, count in body["own"].items()}
        return {**(await self.look()).counts, **counts, **threads, **objects}

    async def allocations(self, trace_s: int) -> list[str]:
        """The lines of the gateway that allocate most within `trace_s`."""
        async with self._http.get(f"{self._url}/debug/memory?trace_s={trace_s}") as answer:
            body: dict[str, Any] = await answer.json()
        return [f"{line['where']}: {line['size_bytes'] / MIB:+.2f} MiB" for line in body["allocations"]]

    def _look_outside(self) -> tuple[dict[str, Held], int, int | None]:
        found = {GATEWAY: self._tree.root}
        servers = self._tree.named(SERVER)
        for name, processes in ((TRITON, servers), (MODEL, self._tree.named(STUB))):
            if processes:
                # While a model is replaced there are two; the older one is the one that serves.
                found[name] = min(processes, key=lambda process: process.create_time())
        held = {}
        for name, process in found.items():
            with suppress(psutil.NoSuchProcess):
                held[name] = _holds(process)
        return held, _shm_bytes(servers), _device_bytes()


def at_most(looks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What an idle gateway has before the load: of each kind of object as many as any look saw.

    Its own checks come and go, and with them a timer or a call. What is held has no such part, and counts as below.
    """
    return {name: least if name in HELD else most for name, (least, most) in _ranges(looks).items()}


def at_least(looks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What it has after the load, and was never without."""
    return {name: least for name, (least, _) in _ranges(looks).items()}


def _ranges(looks: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    seen = {name: [counts.get(name, 0.0) for counts in looks] for name in {name for counts in looks for name in counts}}
    return {name: (min(values), max(values)) for name, values in seen.items()}


def _holds(process: psutil.Process) -> Held:
    memory = process.memory_full_info()
    return Held(process.pid, memory.rss, memory.pss, memory.uss, process.num_threads(), process.num_fds())


def _shm_bytes(servers: list[psutil.Process]) -> int:
    total = 0
    for server in servers:
        with suppress(psutil.NoSuchProcess):
            prefix = _SHM_PREFIX.search(" ".join(server.cmdline()))
            for path in _SHM_DIR.glob(f"{prefix[1]}*") if prefix else ():
                with suppress(FileNotFoundError):
                    total += path.stat().st_blocks * _BLOCK_BYTES
    return total


def _device_bytes() -> int | None:
    """Of a card of its own: the kernel does not always tell a container which process has how much."""
    if not (nvidia_smi := shutil.which("nvidia-smi")):
        return None
    query = [nvidia_smi, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    told = subprocess.run(query, capture_output=True, text=True, check=False, timeout=_NVIDIA_SMI_S)
    return sum(map(int, told.stdout.split())) * MIB if told.returncode == 0 else None


def _held(page: str) -> dict[str, float]:
    values = dict.fromkeys(HELD, 0.0)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in values:
                values[sample.name] += sample.value
    return values
