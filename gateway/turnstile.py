"""Lets utterances wait for a permit: those of live sessions first, then files; in a lane, first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from gateway.core.admission import Admission, Lane, Permit

_Place: TypeAlias = tuple[asyncio.Future[Permit], float]


class Turnstile:
    """The waiting lines in front of an Admission; the admission bounds them."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._lines: dict[Lane, deque[_Place]] = {Lane.LIVE: deque(), Lane.FILE: deque()}

    @asynccontextmanager
    async def permit(self, audio_s: float, lane: Lane = Lane.FILE) -> AsyncIterator[Permit]:
        """Holds a permit for one utterance, after waiting for it. Raises Overloaded when too many wait.

        An interim result does not wait: it raises Overloaded where there is no room for it at once.
        """
        permit = self._admission.admit(audio_s, lane) if lane is Lane.INTERIM else await self._turn(audio_s, lane)
        try:
            yield permit
        finally:
            permit.release()
            self._wake()

    async def _turn(self, audio_s: float, lane: Lane) -> Permit:
        line = self._lines[lane]
        if self._admission.permit_is_free and not line:
            return self._admission.admit(audio_s)
        place: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        with self._admission.wait(audio_s):
            line.append((place, audio_s))
            try:
                return await place
            except asyncio.CancelledError:
                if place.cancelled():
                    with suppress(ValueError):  # _wake may have passed over it already
                        line.remove((place, audio_s))
                else:
                    # The permit came in the same turn of the loop as the cancellation.
                    place.result().release()
                    self._wake()
                raise

    def _wake(self) -> None:
        for line in self._lines.values():
            while line and self._admission.permit_is_free:
                place, audio_s = line.popleft()
                if not place.done():
                    place.set_result(self._admission.admit(audio_s))
