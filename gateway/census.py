"""What lives in this process: threads, futures and objects by type, and which lines allocate memory."""

import asyncio
import gc
import threading
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import QuotaExceeded

TOP_ALLOCATIONS = 25
MAX_TRACE_S = 300
TOP_TYPES = 25
# Of these packages every type is counted: what a session, a request or a call to the model leaves behind is theirs.
OWN_PACKAGES = frozenset({"gateway", "aiohttp", "asyncio", "_asyncio", "uvloop", "grpc", "tritonclient"})


@dataclass(frozen=True, slots=True)
class Census:
    """The objects that the garbage collector knows. Buffers hold no references, so it does not know those."""

    objects: int
    pending_futures: int
    own: dict[str, int]
    most: dict[str, int]


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one line has allocated and not freed."""

    where: str
    size_bytes: int
    blocks: int


def take_census(*, collect: bool) -> Census:
    """Counts, after a collection where `collect`; both stop the loop for some hundredths of a second."""
    if collect:
        gc.collect()
    found = gc.get_objects()
    types = Counter(map(type, found))
    kinds = {kind for kind in types if issubclass(kind, asyncio.Future)}
    pending = sum(not each.done() for each in found if type(each) in kinds)
    own = {_name(kind): count for kind, count in types.items() if _package(kind) in OWN_PACKAGES}
    return Census(
        objects=len(found),
        pending_futures=pending,
        own=dict(sorted(own.items())),
        most={_name(kind): count for kind, count in types.most_common(TOP_TYPES)},
    )


def threads_by_name() -> dict[str, int]:
    """How many threads have which name: Python's, or, of those that libraries start, the one Linux knows."""
    ours = {thread.native_id: thread.name for thread in threading.enumerate()}
    names: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # ended meanwhile
            names[ours.get(int(task.name)) or (task / "comm").read_text().strip()] += 1
    return dict(sorted(names.items()))


async def trace_allocations(trace_s: float) -> list[Allocation]:
    """What grows within `trace_s`, by line, the most first. The process is about half as fast meanwhile.

    Raises QuotaExceeded when this runs already.
    """
    if tracemalloc.is_tracing():
        raise QuotaExceeded("Allocations are being traced already.", code="already_tracing")
    tracemalloc.start()
    try:
        before = await asyncio.to_thread(tracemalloc.take_snapshot)
        await asyncio.sleep(trace_s)
        after = await asyncio.to_thread(tracemalloc.take_snapshot)
    finally:
        tracemalloc.stop()
    grown = await asyncio.to_thread(after.compare_to, before, "lineno")
    return [
        Allocation(_place(line.traceback[0]), line.size_diff, line.count_diff)
        for line in grown[:TOP_ALLOCATIONS]
        if line.size_diff > 0
    ]


def _package(kind: type) -> str:
    # Some types of extension modules have a descriptor there.
    return str(kind.__module__).partition(".")[0]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _place(frame: tracemalloc.Frame) -> str:
    """The file below the folder that Python imports from, and the line."""
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"
