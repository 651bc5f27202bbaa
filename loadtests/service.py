"""The service that is measured: a `tritone up` of our own, or one that runs already."""

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from gateway.embedded.linux import dies_with_this_process
from loadtests.errors import BenchError
from loadtests.processes import ProcessTree, listener_on

_READY: Final = re.compile(r"ready: (?P<url>\S+) serves \S+ \(Triton at (?P<triton>\S+)\)")
_ROOT: Final = Path(__file__).resolve().parents[1]
# The first start of all downloads Triton and the weights.
_READY_TIMEOUT_S: Final = 1800.0
_STOP_TIMEOUT_S: Final = 60.0
_TAIL_LINES: Final = 20
# While it idles and another is measured, it should not work.
_IDLE: Final = MappingProxyType({"TRITONE_CANARY_INTERVAL_S": "3600"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Service:
    """Where it is. `triton` is HOST:PORT of gRPC; what is not known is None."""

    url: str
    triton: str | None
    tree: ProcessTree | None


@asynccontextmanager
async def started(
    model: str, *flags: str, program: Sequence[str] = ("gateway",), environment: Mapping[str, str] = _IDLE
) -> AsyncIterator[Service]:
    """A `tritone up` on a free port, ended afterwards. Raises BenchError when it does not get ready.

    `program` is the module that is the gateway, with its first arguments; `environment` is added to this one's.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program, "up", "--model", model, "--port", "0", "--log-format", "console"),
        *flags,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=_ROOT,
        start_new_session=True,
        preexec_fn=dies_with_this_process(),
    )
    try:
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                url, triton = await _ready(process, tail)
        except TimeoutError:
            raise BenchError(_with_tail("the service did not get ready", tail)) from None
        draining = asyncio.create_task(_drain(process, tail))
        try:
            yield Service(url, triton, ProcessTree(process.pid))
        finally:
            draining.cancel()
            with suppress(asyncio.CancelledError):
                await draining
    finally:
        await _end(process)


def running(url: str, triton: str | None) -> Service:
    """A service that was started by somebody else. Its processes are known if it listens on this machine."""
    parts = urlsplit(url)
    local = parts.hostname in _LOOPBACK and parts.port
    return Service(url.rstrip("/"), triton, listener_on(parts.port) if local and parts.port else None)


async def _ready(process: asyncio.subprocess.Process, tail: deque[str]) -> tuple[str, str]:
    async for line in _lines(process):
        tail.append(line)
        print(f"  | {line}", file=sys.stderr, flush=True)
        if ready := _READY.search(line):
            return ready["url"], ready["triton"]
    raise BenchError(_with_tail("the service ended before it was ready", tail))


async def _drain(process: asyncio.subprocess.Process, tail: deque[str]) -> None:
    async for line in _lines(process):
        tail.append(line)


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield line.decode(errors="replace").rstrip()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _with_tail(message: str, tail: deque[str]) -> str:
    return "\n".join([message, *(f"    {line}" for line in tail)])
