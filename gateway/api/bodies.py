"""Reads JSON bodies: at a client's pace, within a limit, and within what all may hold together."""

import orjson
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from gateway.api.keys import LIVE, SETTINGS
from gateway.api.uploads import Pace
from gateway.core.errors import AudioTooLong, BadRequest


class Body:
    """The bytes of one request; a context manager that counts them as audio that is held, until it is left."""

    def __init__(self, app: web.Application) -> None:
        self.data = bytearray()
        self._settings = app[SETTINGS]
        self._budget = app[LIVE].shared.budget

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.hold(-len(self.data))
        self.data = bytearray()

    async def read(self, request: web.Request, *, max_bytes: int) -> None:
        """Reads it all. Raises AudioTooLong, BadRequest (damaged), IdleTimeout (slow), Overloaded (no room)."""
        if request.content_type != "application/json":
            raise BadRequest("The body must be application/json.", code="invalid_json")
        pace = Pace(request, self._settings)
        try:
            self._check(request.content_length or 0, max_bytes)
            while chunk := await pace.within(request.content.readany()):
                self._check(len(self.data) + len(chunk), max_bytes)
                await self._budget.room()
                self._budget.hold(len(chunk))
                self.data += chunk
        except (BadHttpMessage, web.RequestPayloadError) as error:
            raise BadRequest("The body is damaged.", code="invalid_json") from error

    def json(self) -> object:
        """What it says. Raises BadRequest."""
        try:
            return orjson.loads(self.data)
        except orjson.JSONDecodeError:
            raise BadRequest("The body is not JSON.", code="invalid_json") from None

    def _check(self, size_bytes: int, max_bytes: int) -> None:
        if size_bytes > max_bytes:
            raise AudioTooLong(f"The body is larger than {max_bytes} bytes.", code="body_too_large")
