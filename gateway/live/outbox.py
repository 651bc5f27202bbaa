"""The messages on their way to one client: in order, bounded, an interim result replaced by a newer one."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from gateway.core.errors import IdleTimeout, TritoneError
from gateway.core.live.effects import Message, Partial
from gateway.telemetry import LiveTelemetry

Wire: TypeAlias = Callable[[Message], Iterable[Mapping[str, Any]]]


class Outbox:
    """Of one connection. `wire` turns a session's message into JSON objects.

    Where `replaces_partials`, one interim result waits at most. Nothing else is ever left out: when `max_messages`
    wait, the client does not read, and the outbox closes with that as its `error`.
    """

    def __init__(self, wire: Wire, telemetry: LiveTelemetry, *, max_messages: int, replaces_partials: bool) -> None:
        self.error: TritoneError | None = None
        self.closed = False
        self._wire = wire
        self._telemetry = telemetry
        self._max_messages = max_messages
        self._replaces_partials = replaces_partials
        self._frames: deque[bytes] = deque()
        self._partial: bytes | None = None
        self._changed = asyncio.Event()

    def tell(self, message: Message) -> None:
        """Puts a message of the session at the end."""
        is_partial = self._replaces_partials and isinstance(message, Partial)
        if is_partial and self._partial is not None:
            self._frames.remove(self._partial)
            self._partial = None
            self._telemetry.replaced.inc()
        for told in self._wire(message):
            self.put(told)
        if is_partial and not self.closed:
            self._partial = self._frames[-1]

    def put(self, told: Mapping[str, Any]) -> None:
        """Puts one JSON object at the end. What comes after `close` goes nowhere."""
        if self.closed:
            return
        if len(self._frames) >= self._max_messages:
            self._telemetry.slow_readers.labels("outbox").inc()
            self._frames.clear()
            self._partial = None
            self.close(slow_reader())
            return
        self._frames.append(orjson.dumps(told))
        self._changed.set()

    def close(self, error: TritoneError | None = None) -> None:
        """Ends the connection, because of `error` if there is one, after what waits was sent."""
        if not self.closed:
            self.closed, self.error = True, error
            self._changed.set()

    async def get(self) -> bytes | None:
        """The next frame as UTF-8 JSON, or None after the last one."""
        while not self._frames:
            if self.closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        if frame is self._partial:
            self._partial = None
        return frame


def slow_reader() -> IdleTimeout:
    """What ends a connection whose client does not read."""
    return IdleTimeout("The client does not read what it is sent.", code="slow_reader")
