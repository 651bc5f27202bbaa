"""Listens: aiohttp's server around the application, and an answer of our own to what is no HTTP request."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import http_exceptions, web

from gateway.api.boundary import REQUEST_ID_HEADER, new_request_id
from gateway.api.keys import OPEN_REQUESTS, SETTINGS, TELEMETRY
from gateway.api.replies import error_response
from gateway.core.errors import BadRequest

logger = logging.getLogger("gateway.access")

# For answers that are on their way; aiohttp takes it twice.
_LAST_WRITES_S = 1.0


async def listen(app: web.Application, listener: socket.socket) -> web.AppRunner:
    """Serves `app` on `listener` until the runner is cleaned up, before which `app` should be drained.

    A handler ends with its client.
    """
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_LAST_WRITES_S)
    await runner.setup()
    await _Door(runner, listener).start()
    return runner


class _Door(web.SockSite):
    """aiohttp's site, with connections of our own."""

    async def start(self) -> None:
        await web.BaseSite.start(self)
        runner = self._runner
        assert isinstance(runner, web.AppRunner)
        app, server = runner.app, runner.server
        assert server
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(app, server), sock=self._sock, backlog=self._backlog
        )


class _Connection(web.RequestHandler):
    """A connection on which a head that can't be read is one more bad request: counted, and told in JSON."""

    def __init__(self, app: web.Application, server: web.Server) -> None:
        settings = app[SETTINGS]
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # the server takes none, and so does what it is made of
            max_line_size=settings.max_header_bytes,
            max_field_size=settings.max_header_bytes,
            keepalive_timeout=settings.keepalive_s,
        )
        self._app = app

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """From a request's head to the last byte of its answer."""
        with self._app[OPEN_REQUESTS].one_more():
            return await super()._handle_request(request, start_time, request_handler)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp could not read; what else failed is aiohttp's own to tell."""
        if not isinstance(exc, http_exceptions.HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of an answer was sent already")
        limit_bytes = self._app[SETTINGS].max_header_bytes
        error = (
            BadRequest(f"The address or a header has more than {limit_bytes} bytes.", code="header_too_large")
            if isinstance(exc, http_exceptions.LineTooLong)
            else BadRequest("This is not a valid HTTP request.", code="invalid_http")
        )
        telemetry = self._app[TELEMETRY]
        telemetry.requests.labels("none", str(status)).inc()
        telemetry.errors.labels(error.reason).inc()
        request_id = new_request_id()
        logger.info("request", extra={"fields": {"request_id": request_id, "status": status, "code": error.reason}})
        answer = error_response(error)
        answer.headers[REQUEST_ID_HEADER] = request_id
        answer.force_close()
        return answer
