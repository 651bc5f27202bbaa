"""What surrounds every request: its id, its log line and metrics, and the last catch."""

import asyncio
import logging
import re
import time
import uuid
from contextlib import suppress

from aiohttp import HttpVersion11, WSCloseCode, hdrs, web
from aiohttp.typedefs import Handler

from gateway.api.events import EVENTS, EventStream
from gateway.api.keys import API_KEY, REQUEST_ID, SESSION_ID, SOCKET, TELEMETRY
from gateway.api.replies import bug_response, error_response, http_error_response
from gateway.core.errors import IdleTimeout, TritoneError
from gateway.telemetry import request_id_var

logger = logging.getLogger("gateway.access")

REQUEST_ID_HEADER = "x-request-id"
# It becomes Triton's request id and stands in logs: nothing that could break a line or grow without bound.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
CLIENT_LEFT = 499
_SERVER_ERRORS = 500
_QUIET_ROUTES = frozenset({"/livez", "/readyz", "/health", "/metrics"})


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every failure in the same form, and logs and counts every request once."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
    request[REQUEST_ID] = request_id
    token = request_id_var.set(request_id)
    started_at_s = time.monotonic()
    code: str | None = None
    status = CLIENT_LEFT
    try:
        response, code = await _answer(request, handler)
        # Sent here and not by aiohttp, so that the record is of the whole request, and nobody waits for it.
        await response.prepare(request)
        await response.write_eof()
        status = response.status
        return response
    except asyncio.CancelledError:
        code = code or "client_left"
        raise
    except ConnectionError:
        code = code or "client_left"
        # What is raised aiohttp would log as a bug; with an answer it finds that nobody is there to take it.
        return _begun(request) or web.Response(status=CLIENT_LEFT)
    finally:
        _record(request, status, code, time.monotonic() - started_at_s)
        request_id_var.reset(token)


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Puts the request's id on every answer, as it begins."""
    # What aiohttp refuses by itself has been here before it got one.
    response.headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID) or new_request_id()


def new_request_id() -> str:
    """For who brought none."""
    return f"req_{uuid.uuid4().hex}"


async def expect(request: web.Request) -> None:
    """Answers `Expect: 100-continue`; others may be passed over (RFC 9110, 10.1.1), which aiohttp itself refuses."""
    if request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer proper has not begun


async def _answer(request: web.Request, handler: Handler) -> tuple[web.StreamResponse, str | None]:
    try:
        return await handler(request), None
    except TritoneError as error:
        answer, code = error_response(error), error.reason
    except web.HTTPException as error:
        answer, code = http_error_response(error), f"http_{error.status}"
    except ConnectionError:
        raise
    except Exception:
        # The one broad catch: a bug is logged here, and the client is told nothing but the id.
        logger.exception("a bug ended this request")
        if socket := request.get(SOCKET):
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"internal_error", drain=False)
            return socket, "internal_error"
        answer, code = bug_response(request[REQUEST_ID]), "internal_error"
    return await _told(request, answer), code


async def _told(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """`answer`, or the end of a stream of events that had begun when the failure came."""
    begun = _begun(request)
    if begun is None:
        return answer
    with suppress(IdleTimeout):
        await request[EVENTS].fail(answer)
    return begun


def _begun(request: web.Request) -> web.StreamResponse | None:
    """The stream of events that this request is answered with, once it has begun."""
    events: EventStream | None = request.get(EVENTS)
    return events.response if events and events.response.prepared else None


def _record(request: web.Request, status: int, code: str | None, elapsed_s: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "none"
    telemetry = request.app[TELEMETRY]
    telemetry.requests.labels(route, str(status)).inc()
    if SOCKET not in request:
        telemetry.request_seconds.labels(route).observe(elapsed_s)
    if code:
        telemetry.errors.labels(code).inc()
    level = logging.DEBUG if route in _QUIET_ROUTES else logging.ERROR if status >= _SERVER_ERRORS else logging.INFO
    fields = {
        "method": request.method,
        "route": route,
        "status": status,
        "ms": round(elapsed_s * 1000, 1),
        "code": code,
        "session_id": request.get(SESSION_ID),
        "key": key.name if (key := request.get(API_KEY)) else None,
    }
    logger.log(level, "request", extra={"fields": fields})
