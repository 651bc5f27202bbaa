"""Requests that come at their own pace, whether or not the service keeps up; and what became of each."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from loadtests.rows import percentile

# The file is in memory: what is measured is the service and not this disk.
_PATH = "/v1/audio/transcriptions"
_READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one request: its status (0: the connection broke), when it came and how long it took."""

    status: int
    came_at_s: float
    elapsed_s: float
    retry_after: bool

    @property
    def ended_at_s(self) -> float:
        """When its client had the whole answer."""
        return self.came_at_s + self.elapsed_s


class Caller:
    """Sends clips, each with the same deadline, which begins when the upload is complete."""

    def __init__(self, http: aiohttp.ClientSession, clips: Sequence[bytes], *, deadline_s: float) -> None:
        self._http = http
        self._clips = itertools.cycle(clips)
        self._fields = {"model": "whisper-1", "timeout_s": f"{deadline_s:g}"}

    async def ask(self) -> Fate:
        """One request."""
        form = aiohttp.FormData(self._fields)
        form.add_field("file", next(self._clips), filename="a.flac")
        came_at_s = time.monotonic()
        try:
            async with self._http.post(_PATH, data=form) as answer:
                await answer.read()
                status, retry_after = answer.status, "Retry-After" in answer.headers
        except aiohttp.ClientError:
            status, retry_after = 0, False
        return Fate(status, came_at_s, time.monotonic() - came_at_s, retry_after)

    async def closed_loop(self, callers: int, seconds: float) -> list[Fate]:
        """So many callers, each of whom asks again when it was answered."""
        ends_at_s = time.monotonic() + seconds

        async def keep_asking() -> list[Fate]:
            fates = []
            while time.monotonic() < ends_at_s:
                fates.append(await self.ask())
            return fates

        return [fate for fates in await asyncio.gather(*(keep_asking() for _ in range(callers))) for fate in fates]

    async def open_loop(self, per_s: float, seconds: float) -> list[Fate]:
        """A request every 1 / `per_s`, come what may."""
        began_at_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(int(per_s * seconds)):
                await asyncio.sleep(max(0.0, began_at_s + number / per_s - time.monotonic()))
                tasks.append(group.create_task(self.ask()))
        return [task.result() for task in tasks]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a limit of its own, of a service that is ready. Raises TimeoutError where it does not get so."""
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, timeout=timeout, connector=connector) as http:
        async with asyncio.timeout(_READY_WITHIN_S):
            while (await http.get("/readyz")).status != HTTPStatus.OK:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        yield http


def answered(fates: Sequence[Fate]) -> list[Fate]:
    """Those that were transcribed."""
    return [fate for fate in fates if fate.status == HTTPStatus.OK]


def refused(fates: Sequence[Fate]) -> list[Fate]:
    """Those that were told to come back."""
    return [fate for fate in fates if fate.status == HTTPStatus.SERVICE_UNAVAILABLE]


def percentile_s(fates: Sequence[Fate], percent: float) -> float:
    """The time that so many percent of them took at most."""
    return percentile([fate.elapsed_s for fate in fates], percent) if fates else 0.0


def rate_per_s(fates: Sequence[Fate], began_at_s: float, seconds: float) -> float:
    """How many of them ended in a second of that time."""
    return sum(began_at_s <= fate.ended_at_s < began_at_s + seconds for fate in fates) / seconds
