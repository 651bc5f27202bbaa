"""Who may change the service: whoever has the admin key, or, where none is set, a program on this machine."""

import hmac
import ipaddress

from aiohttp import web

from gateway.api.keys import SETTINGS
from gateway.core.errors import Unauthorized

# A request with one of these comes from a browser's page or through a proxy, wherever its connection comes from.
_FROM_ELSEWHERE = ("Origin", "Forwarded", "X-Forwarded-For")


def require_admin(request: web.Request) -> None:
    """Raises Unauthorized."""
    key = request.app[SETTINGS].admin_key
    if key:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.encode(), key.encode()):
            raise Unauthorized("This needs the admin key, as a bearer token.")
    elif not _is_local(request):
        raise Unauthorized("Without an admin key this is for programs on the server's own machine.")


def _is_local(request: web.Request) -> bool:
    try:
        peer = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None) or peer
    return mapped.is_loopback and not any(name in request.headers for name in _FROM_ELSEWHERE)
