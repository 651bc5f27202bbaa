"""Counts the requests that are open, WebSockets among them, so that a drain can wait for the last one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class OpenRequests:
    """Of one application."""

    def __init__(self) -> None:
        self.count = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Around a request, from its head to its answer."""
        self.count += 1
        self._none.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._none.set()

    async def ended(self) -> None:
        """Returns when none is open."""
        await self._none.wait()
