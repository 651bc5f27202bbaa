"""Orders to one Triton about what is loaded of one model, one at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.core.deadline import Deadline
from gateway.core.errors import TritoneError
from gateway.triton.control import UNAVAILABLE, Control

_INDEX_TIMEOUT_S: Final = 3.0
_UNLOAD_POLL_S: Final = 0.05


class Orders:
    """Whoever does not hold `giving` leaves the process alone. Each order may take `timeout_s`."""

    def __init__(self, model: str, triton: Control, *, timeout_s: float) -> None:
        self.turns = 0
        self._model = model
        self._triton = triton
        self._timeout_s = timeout_s
        self._one_at_a_time = asyncio.Lock()

    @property
    def under_way(self) -> bool:
        """Whether somebody gives orders now."""
        return self._one_at_a_time.locked()

    @asynccontextmanager
    async def giving(self) -> AsyncIterator[None]:
        """Waits for those before. Where `turns` are not what they were, there may be another process."""
        async with self._one_at_a_time:
            self.turns += 1
            try:
                yield
            finally:
                self.turns += 1

    async def load(self) -> None:
        """Returns when it is loaded. Raises ModelUnavailable, DeadlineExceeded."""
        await self._triton.load(self._model, deadline=within(self._timeout_s))

    async def replace(self) -> None:
        """Returns when a fresh process has taken over. Raises ModelUnavailable, DeadlineExceeded."""
        await self._triton.replace(self._model, deadline=within(self._timeout_s))

    async def unload(self, *, patience_s: float | None = None, ends: Callable[[], bool] = lambda: False) -> bool:
        """Whether it is gone in time, or before there `ends` the patience. Raises as `load`."""
        await self._triton.unload(self._model, deadline=within(self._timeout_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s if patience_s is None else patience_s):
                # Triton tells of the end in its index alone.
                while not ends():
                    if await self.state() == UNAVAILABLE:
                        return True
                    await asyncio.sleep(_UNLOAD_POLL_S)
        return False

    async def state(self) -> str:
        """The model's state in Triton's index; what can't be asked for is not there."""
        with suppress(TritoneError):
            for entry in await self._triton.index(deadline=within(_INDEX_TIMEOUT_S)):
                if entry.name == self._model:
                    return entry.state
        return UNAVAILABLE


def within(budget_s: float) -> Deadline:
    """The deadline of what may take so long from now on."""
    return Deadline.after(budget_s, now_s=time.monotonic())
