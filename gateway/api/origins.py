"""What browsers need to know: which pages may call, and what a page may do with an answer."""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.api.keys import ORIGINS, SETTINGS
from gateway.core.errors import Forbidden
from gateway.core.origins import ANY, permits

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_EXPOSED = "x-request-id, x-should-retry, x-filtered, Retry-After"
_MAX_AGE_S = 600
_NO_CONTENT = 204
# OpenAI's SDK brings a dozen headers of its own.
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_, -]{0,1024}")


@web.middleware
async def origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers preflights. Raises Forbidden for a page that may not call: it could not read, but would be obeyed."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and not _permits(request, origin):
        raise Forbidden("Pages of this origin may not call: see --allow-origins.", code="origin_not_allowed")
    is_preflight = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    refused = request.match_info.http_exception
    # No route takes OPTIONS, and what it does take stands in the refusal.
    if is_preflight and isinstance(refused, web.HTTPMethodNotAllowed):
        return _preflight(request, refused)
    return await handler(request)


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Puts on every answer what browsers go by, as it begins."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and _permits(request, origin):
        is_any = ANY in request.app[ORIGINS]
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = ANY if is_any else origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)


def _permits(request: web.Request, origin: str) -> bool:
    # Without keys whoever reaches this machine's own address is served: a page must not, by a name that it made up.
    return permits(request.app[ORIGINS], origin, request.host, only_local=not request.app[SETTINGS].api_keys)


def _preflight(request: web.Request, refused: web.HTTPMethodNotAllowed) -> web.Response:
    wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(sorted(refused.allowed_methods)),
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: wanted if _HEADER_NAMES.fullmatch(wanted) else "",
        hdrs.ACCESS_CONTROL_MAX_AGE: str(_MAX_AGE_S),
    }
    return web.Response(status=_NO_CONTENT, headers=headers)
