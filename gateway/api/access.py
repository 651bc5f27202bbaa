"""Who may come in, and who may change the service."""

import ipaddress

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api.callers import token_of
from gateway.api.keys import API_KEY, API_KEYS
from gateway.api.routes import Access, access_of
from gateway.core.errors import Forbidden, Unauthorized
from gateway.core.origins import is_local

# A request with one of these comes from a browser's page or through a proxy, wherever its connection comes from.
_FROM_ELSEWHERE = ("Origin", "Forwarded", "X-Forwarded-For")
# What a browser says of a request that a page of our own makes, or that its user typed.
_OUR_OWN_PAGES = ("same-origin", "none")


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets in who may. Raises Unauthorized, Forbidden."""
    resource = request.match_info.route.resource
    # What has no route is refused as such.
    needed = access_of(resource.canonical) if resource else Access.PUBLIC
    if needed is Access.ADMIN:
        _require_admin(request)
    elif needed is Access.CALLER and request.app[API_KEYS].required:
        request[API_KEY] = request.app[API_KEYS].require(token_of(request))
    return await handler(request)


def _require_admin(request: web.Request) -> None:
    """An admin key; where there is none at all, a program on this machine is enough."""
    keys = request.app[API_KEYS]
    if keys.guards_admin:
        request[API_KEY] = key = keys.require(token_of(request))
        if not key.is_admin:
            raise Forbidden("This needs an admin key.")
    elif not _is_local(request):
        raise Unauthorized("Without an admin key this is for programs on the server's own machine.")


def _is_local(request: web.Request) -> bool:
    try:
        peer = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None) or peer
    headers = request.headers
    if any(name in headers for name in _FROM_ELSEWHERE) or headers.get("Sec-Fetch-Site", "none") not in _OUR_OWN_PAGES:
        return False
    # A page of another site can have its own name point here, and then reads as this machine.
    return mapped.is_loopback and is_local(request.host)
