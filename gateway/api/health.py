"""GET /livez (this process), /readyz (would a request be served), /metrics."""

from aiohttp import web

from gateway.api.keys import ADMISSION, FLEET, STOPPING, TELEMETRY
from gateway.api.replies import json_response

_OK = "ok"


async def livez(request: web.Request) -> web.Response:
    """200 as long as the event loop turns."""
    return json_response({"status": _OK})


async def readyz(request: web.Request) -> web.Response:
    """200 exactly when a request would be served now; says which check failed."""
    app = request.app
    checks = {
        "draining": "the service is stopping" if app[STOPPING].is_set() else _OK,
        "model": app[FLEET].problem or _OK,
        "admission": app[ADMISSION].full or _OK,
    }
    ready = all(state == _OK for state in checks.values())
    endpoints = {address: problem or _OK for address, problem in app[FLEET].problems.items()}
    body = {"status": _OK if ready else "unavailable", "checks": checks, "endpoints": endpoints}
    return json_response(body, status=200 if ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    telemetry = request.app[TELEMETRY]
    return web.Response(body=telemetry.exposition(), headers={"Content-Type": telemetry.content_type})
