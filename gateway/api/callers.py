"""Who a request is from: the token it brings, and its name as far as limits go."""

from aiohttp import hdrs, web

from gateway.api.keys import API_KEY
from gateway.core.api_keys import digest_of

# A browser can give a WebSocket no header but this one; OpenAI's SDK has its key follow the prefix.
_SUBPROTOCOL_KEY = "openai-insecure-api-key."


def token_of(request: web.Request) -> str:
    """The bearer token of a request, or the key among the subprotocols of a WebSocket; empty if there is none."""
    kind, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if token:
        return token.strip() if kind.lower() == "bearer" else ""
    for protocol in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if protocol.strip().startswith(_SUBPROTOCOL_KEY):
            return protocol.strip().removeprefix(_SUBPROTOCOL_KEY)
    return ""


def caller_of(request: web.Request) -> str:
    """The same text for the same key, or, where callers need none, for the same token or address; it tells no token."""
    if key := request.get(API_KEY):
        return f"name:{key.name}"
    if token := token_of(request):
        return f"key:{digest_of(token)}"
    return f"address:{request.remote}"
