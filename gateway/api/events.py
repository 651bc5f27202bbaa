"""Server-sent events as the answer to a request."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from gateway.core.errors import IdleTimeout

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # a proxy that collects the events would defeat them
}


class EventStream:
    """The events of one request. The response begins with the first; until then a failure is an ordinary answer."""

    def __init__(self, request: web.Request, *, send_timeout_s: float) -> None:
        """A client gets `send_timeout_s` to take each event."""
        self.response = web.StreamResponse(headers=_HEADERS)
        self._request = request
        self._send_timeout_s = send_timeout_s
        self._broken = False

    async def send(self, data: dict[str, Any]) -> None:
        """Sends an event. Raises IdleTimeout when the client does not read."""
        await self._write(b"data: " + orjson.dumps(data) + b"\n\n")

    async def done(self) -> None:
        """Sends OpenAI's last event."""
        await self._write(b"data: [DONE]\n\n")

    async def fail(self, answer: web.Response) -> None:
        """Sends what the JSON of `answer` would have told as OpenAI's `error` event, which its SDKs raise."""
        if not self._broken:
            data = {"type": "error", **orjson.loads(answer.text or "{}")}
            await self._write(b"event: error\ndata: " + orjson.dumps(data) + b"\n\n")

    async def _write(self, event: bytes) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                if not self.response.prepared:
                    await self.response.prepare(self._request)
                await self.response.write(event)
        except TimeoutError:
            self._broken = True
            if self._request.transport is not None:
                self._request.transport.abort()
            raise IdleTimeout("The client did not read the answer.", code="slow_reader") from None


EVENTS = web.RequestKey("events", EventStream)
