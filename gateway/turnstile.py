"""Lets utterances wait for a permit, in the order of their lanes; in a lane it is first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from gateway.core.admission import Admission, Lane, Permit

_Place: TypeAlias = tuple[asyncio.Future[Permit], float]


class Turnstile:
    """The waiting lines in front of an Admission, in the order of their lanes.

    The admission's door bounds them; of interim results each live session has one at most.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._lines: dict[Lane, deque[_Place]] = {lane: deque() for lane in Lane}

    @asynccontextmanager
    async def permit(self, audio_s: float, lane: Lane = Lane.FILE) -> AsyncIterator[Permit]:
        """Holds a permit for one utterance, after waiting for it.

        An interim result does not count among those who wait, and gives up with Overloaded when it waited too long. Of
        several the shortest goes first: it costs least, and its speaker has seen nothing yet.
        """
        if lane is Lane.INTERIM:
            permit = await self._turn_soon(audio_s)
        elif self._is_open(lane):
            permit = self._admission.admit(lane)
        else:
            with self._admission.wait(audio_s, lane):
                permit = await self._turn(audio_s, lane)
        try:
            yield permit
        finally:
            permit.release()
            self._wake()

    def _is_open(self, lane: Lane) -> bool:
        return self._admission.permit_is_free(lane) and not self._lines[lane]

    async def _turn_soon(self, audio_s: float) -> Permit:
        if self._is_open(Lane.INTERIM):
            return self._admission.admit(Lane.INTERIM)
        try:
            async with asyncio.timeout(self._admission.limits.interim_wait_s):
                return await self._turn(audio_s, Lane.INTERIM)
        except TimeoutError:
            raise self._admission.overloaded("there is no room for interim results") from None

    async def _turn(self, audio_s: float, lane: Lane) -> Permit:
        place: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._lines[lane].append((place, audio_s))
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):  # _wake may have passed over it already
                    self._lines[lane].remove((place, audio_s))
            else:
                # The permit came in the same turn of the loop as the cancellation.
                place.result().release()
                self._wake()
            raise

    def _wake(self) -> None:
        for lane, line in self._lines.items():
            while line and self._admission.permit_is_free(lane):
                first = min(line, key=_audio_s) if lane is Lane.INTERIM else line[0]
                line.remove(first)
                place, _ = first
                if not place.done():
                    place.set_result(self._admission.admit(lane))


def _audio_s(place: _Place) -> float:
    return place[1]
