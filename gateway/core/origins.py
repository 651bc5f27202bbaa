"""Which web pages may call the service, by the Origin that their browser tells."""

import ipaddress
from urllib.parse import urlsplit

ANY = "*"


def parse_origins(text: str) -> frozenset[str]:
    """The origins of a list divided by commas. Raises ValueError, with the one that is none."""
    given = [origin.strip().lower() for origin in text.split(",") if origin.strip()]
    for origin in given:
        if origin not in (ANY, "null") and not _is_origin(origin.removesuffix("/")):
            raise ValueError(origin)
    return frozenset(origin.removesuffix("/") for origin in given)


def permits(allowed: frozenset[str], origin: str, host: str, *, only_local: bool) -> bool:
    """Whether a page of `origin` may ask the service that it calls `host`: a page of the list, or the service's own.

    `only_local`: a name that is not this machine's own was made to point here by somebody else, and does not count.
    """
    origin = origin.lower()
    if ANY in allowed or origin in allowed:
        return True
    is_own = origin.partition("://")[2] == host.lower() != ""
    return is_own and (is_local(host) or not only_local)


def is_local(host: str) -> bool:
    """Whether a Host header names this machine itself: localhost, or a loopback address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and f"{parts.scheme}://{parts.netloc}" == text and "@" not in text
    except ValueError:
        return False
