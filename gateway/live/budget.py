"""How much audio is held for all live sessions together."""

import asyncio

from gateway.core.errors import Overloaded
from gateway.telemetry import LiveTelemetry


class AudioBudget:
    """Counts bytes against a limit. A session that waits for room takes in what it has in its hands afterwards.

    So the limit may be exceeded by one piece of audio for each session.
    """

    def __init__(self, telemetry: LiveTelemetry, *, limit_bytes: int, wait_s: float) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._telemetry = telemetry
        self._wait_s = wait_s
        self._room = asyncio.Event()
        self._room.set()

    def hold(self, more_bytes: int) -> None:
        """Takes in how much more is held, or less where it is negative."""
        self.held_bytes += more_bytes
        if self.held_bytes < self.limit_bytes:
            self._room.set()
        else:
            self._room.clear()

    async def room(self) -> None:
        """Returns when there is room. Raises Overloaded when there is none for too long."""
        if self._room.is_set():
            return
        self._telemetry.budget_waits.inc()
        try:
            async with asyncio.timeout(self._wait_s):
                await self._room.wait()
        except TimeoutError:
            raise Overloaded("The service holds too much audio of live sessions.", code="audio_budget") from None
