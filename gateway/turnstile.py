"""Lets utterances wait for a permit, first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.core.admission import Admission, Permit


class Turnstile:
    """The waiting line in front of an Admission; the admission bounds it."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._line: deque[tuple[asyncio.Future[Permit], float]] = deque()

    @asynccontextmanager
    async def permit(self, audio_s: float) -> AsyncIterator[Permit]:
        """Holds a permit for one utterance, after waiting for it. Raises Overloaded when too many wait."""
        permit = await self._turn(audio_s)
        try:
            yield permit
        finally:
            permit.release()
            self._wake()

    async def _turn(self, audio_s: float) -> Permit:
        if self._admission.permit_is_free and not self._line:
            return self._admission.admit(audio_s)
        place: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        with self._admission.wait(audio_s):
            self._line.append((place, audio_s))
            try:
                return await place
            except asyncio.CancelledError:
                self._step_out(place, audio_s)
                raise

    def _step_out(self, place: asyncio.Future[Permit], audio_s: float) -> None:
        if place.cancelled():
            with suppress(ValueError):  # _wake may have passed over it already
                self._line.remove((place, audio_s))
        else:
            # The permit came in the same turn of the loop as the cancellation.
            place.result().release()
            self._wake()

    def _wake(self) -> None:
        while self._line and self._admission.permit_is_free:
            place, audio_s = self._line.popleft()
            if not place.done():
                place.set_result(self._admission.admit(audio_s))
