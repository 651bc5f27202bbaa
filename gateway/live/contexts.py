"""What is remembered between the requests of one session, and whose turn it is in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from gateway.core.errors import DeadlineExceeded, Overloaded, QuotaExceeded, TritoneError
from gateway.core.live.context import Context
from gateway.telemetry import Telemetry

_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextLimits:
    """How many sessions are remembered, of all callers and of one, for how long, and how many requests of one wait."""

    max_contexts: int
    max_of_caller: int
    max_requests: int
    idle_s: float


@dataclass(slots=True, eq=False)
class Place:
    """One session: whoever has its turn may read and replace its `context`."""

    context: Context = field(default_factory=Context)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    requests: int = 0
    expiry: asyncio.TimerHandle | None = None


class Contexts:
    """By caller and name: two callers never share a session. One with nothing to remember takes no place."""

    def __init__(self, telemetry: Telemetry, limits: ContextLimits) -> None:
        self._telemetry = telemetry.live
        self._limits = limits
        self._places: dict[_Key, Place] = {}
        telemetry.show("tritone_contexts", "Sessions of posted utterances that are remembered", lambda: len(self))
        telemetry.show("tritone_contexts_limit", "Those that may be", lambda: limits.max_contexts)

    def __len__(self) -> int:
        return len(self._places)

    @asynccontextmanager
    async def turn(self, caller: str, session_id: str, *, within_s: float) -> AsyncIterator[Place]:
        """The session, when those who came before are done. Raises Overloaded, QuotaExceeded, DeadlineExceeded."""
        key = caller, session_id
        place = self._entered(key)
        try:
            try:
                async with asyncio.timeout(within_s):
                    await place.turn.acquire()
            except TimeoutError:
                raise DeadlineExceeded("The session's earlier requests took too long.") from None
            try:
                yield place
            finally:
                place.turn.release()
        finally:
            self._leave(key, place)

    def close(self) -> None:
        """Forgets everything."""
        for place in self._places.values():
            if place.expiry:
                place.expiry.cancel()
        self._places.clear()

    def _entered(self, key: _Key) -> Place:
        place = self._places.get(key)
        if place is None:
            if len(self) >= self._limits.max_contexts:
                raise self._refused(Overloaded("Too many sessions are remembered.", code="too_many_sessions"))
            if sum(caller == key[0] for caller, _ in self._places) >= self._limits.max_of_caller:
                raise self._refused(QuotaExceeded("Too many sessions of yours are remembered."))
            place = self._places[key] = Place()
        elif place.requests >= self._limits.max_requests:
            raise self._refused(QuotaExceeded("Too many requests of this session wait for their turn."))
        if place.expiry:
            place.expiry.cancel()
        place.requests += 1
        return place

    def _leave(self, key: _Key, place: Place) -> None:
        place.requests -= 1
        if place.requests or self._places.get(key) is not place:
            return
        if place.context.empty:
            del self._places[key]
        else:
            expire = partial(self._expire, key)
            place.expiry = asyncio.get_running_loop().call_later(self._limits.idle_s, expire)

    def _expire(self, key: _Key) -> None:
        del self._places[key]
        self._telemetry.contexts_expired.inc()

    def _refused(self, error: TritoneError) -> TritoneError:
        self._telemetry.contexts_refused.labels(error.reason).inc()
        return error
