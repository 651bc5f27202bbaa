"""Who a request is from, as far as limits go."""

from hashlib import sha256

from aiohttp import web


def caller_of(request: web.Request) -> str:
    """The same text for the same bearer token, or the same address where there is none; it does not tell the token."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return f"key:{sha256(token.encode()).hexdigest()}"
    return f"address:{request.remote}"
