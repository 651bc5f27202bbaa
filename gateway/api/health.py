"""GET /livez (this process), /readyz and /health (would a request be served), /metrics."""

from typing import Any

from aiohttp import web

from gateway.api.keys import ADMISSION, DRAINING, SETTINGS, TELEMETRY, WARDEN
from gateway.api.replies import json_response

_OK = "ok"


async def livez(request: web.Request) -> web.Response:
    """200 as long as the event loop turns."""
    return json_response({"status": _OK})


async def readyz(request: web.Request) -> web.Response:
    """200 exactly when a request would be served now; says which check failed."""
    body, status = _readiness(request.app)
    return json_response(body, status=status)


async def health(request: web.Request) -> web.Response:
    """As `readyz`, with the figures behind it."""
    app = request.app
    warden, admission = app[WARDEN], app[ADMISSION]
    body, status = _readiness(app)
    figures = {
        "model": app[SETTINGS].model,
        "models": {name: warden.health(name).problem or _OK for name in warden.models},
        "permits": {
            "limit": admission.limits.permits,
            "in_use": admission.in_flight,
            "waiting": admission.waiting,
        },
        "requests": {"limit": admission.limits.max_requests, "inside": admission.requests},
    }
    return json_response({**body, **figures}, status=status)


def _readiness(app: web.Application) -> tuple[dict[str, Any], int]:
    """What the checks say, and the HTTP status for it."""
    warden = app[WARDEN]
    checks = {
        "draining": "the service is stopping" if app[DRAINING].is_set() else _OK,
        "triton": _OK if warden.reachable or not warden.problem else "Triton can't be reached",
        "model": warden.problem or _OK,
        "admission": app[ADMISSION].full or _OK,
    }
    ready = all(state == _OK for state in checks.values())
    return {"status": _OK if ready else "unavailable", "checks": checks}, 200 if ready else 503


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    telemetry = request.app[TELEMETRY]
    return web.Response(body=telemetry.exposition(), headers={"Content-Type": telemetry.content_type})
