"""`python -m loadtests.slow_clients`: clients that do not read and uploads that drip, beside one that behaves."""

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from gateway.core.audio import SAMPLE_RATE_HZ
from loadtests.corpus import FIXTURES, load_corpus
from loadtests.errors import ending
from loadtests.rows import MIB
from loadtests.service import started
from loadtests.storm import Caller, answered, connected, percentile_s

_ALONE_S: Final = 20.0
_DRIP_EVERY_S: Final = 1.0
_GONE_WITHIN_S: Final = 180.0
_DRIP: Final = (
    "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: bench\r\nContent-Length: 1000000\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
)
_UPGRADE: Final = (
    "GET /v1/stream?interim_results=true HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
# One binary message of a second of silence, masked with zeros.
_SECOND: Final = b"\x82\xff" + (2 * SAMPLE_RATE_HZ).to_bytes(8, "big") + bytes(4) + bytes(2 * SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured."""

    alone_p95_s: float
    beside_p95_s: float
    failed: int
    grown_bytes_each: float
    gone_after_s: float
    left: int

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        quick = self.beside_p95_s <= 1.1 * self.alone_p95_s
        return quick and not self.failed and not self.left and self.grown_bytes_each <= 1.5 * MIB

    def __str__(self) -> str:
        return (
            f"p95 alone {self.alone_p95_s * 1000:.0f} ms, beside them {self.beside_p95_s * 1000:.0f} ms, "
            f"{self.failed} failed; {self.grown_bytes_each / MIB:.2f} MiB each; "
            f"{self.left or 'none'} still open after {self.gone_after_s:.0f} s"
        )


@asynccontextmanager
async def slow(url: str, count: int) -> AsyncIterator[None]:
    """So many of each kind, until the block ends. Those that the service closes stay away."""
    host, port = urlsplit(url).hostname, urlsplit(url).port

    async def drip() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_DRIP.encode())
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DRIP_EVERY_S):
                        await reader.read(1024)
        writer.close()

    async def stall() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_UPGRADE.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_SECOND)
        # Held open, and never read again.
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for one in (drip, stall) for _ in range(count)]
        yield
        for task in tasks:
            task.cancel()


async def measured(args: argparse.Namespace) -> Findings:
    """Alone, and beside them until the last of them is closed."""
    clips = [clip.path.read_bytes() for clip in load_corpus(args.audio)]
    # All of them come from one address.
    os.environ["TRITONE_MAX_SESSIONS_PER_KEY"] = str(args.count)
    async with started(args.model) as service, connected(service.url) as http:
        assert service.tree is not None, "it was started here"
        caller = Caller(http, clips, deadline_s=60)
        await caller.closed_loop(1, _ALONE_S / 2)
        alone = await caller.closed_loop(1, _ALONE_S)
        before_bytes = service.tree.root_rss_bytes()
        async with slow(service.url, args.count):
            began_at_s, beside, most_bytes = time.monotonic(), [], before_bytes
            await _until_there(http, args.count)
            while await _left(http) and time.monotonic() < began_at_s + _GONE_WITHIN_S:
                beside += await caller.closed_loop(1, 2.0)
                most_bytes = max(most_bytes, service.tree.root_rss_bytes())
            gone_after_s, left = time.monotonic() - began_at_s, await _left(http)
        return Findings(
            alone_p95_s=percentile_s(alone, 95),
            beside_p95_s=percentile_s(beside, 95),
            failed=len(beside) - len(answered(beside)),
            grown_bytes_each=(most_bytes - before_bytes) / (2 * args.count),
            gone_after_s=gone_after_s,
            left=int(left),
        )


async def _until_there(http: aiohttp.ClientSession, count: int) -> None:
    async with asyncio.timeout(_GONE_WITHIN_S):
        while await _left(http) < 2 * count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def _left(http: aiohttp.ClientSession) -> float:
    async with http.get("/metrics") as answer:
        page = await answer.text()
    return sum(map(float, re.findall(r"^tritone_(?:uploads_in_progress|sessions) (\S+)$", page, re.MULTILINE)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. 0: as promised; 1: not."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.slow_clients", description=__doc__)
    parser.add_argument("--audio", type=Path, default=FIXTURES, metavar="DIR", help="recordings with transcripts.txt")
    parser.add_argument("--model", default="tiny.en", help="weights (default tiny.en)")
    parser.add_argument("--count", type=int, default=100, help="of each kind (default 100)")
    with ending("slow_clients"):
        findings = asyncio.run(measured(parser.parse_args(arguments)))
    print(findings)
    return 0 if findings.holds else 1


if __name__ == "__main__":
    sys.exit(main())
