"""GET /livez (this process), /readyz and /health (would a request be served), /metrics."""

from typing import Any

from aiohttp import web

from gateway.api.keys import ADMISSION, FLEET, SETTINGS, STOPPING, TELEMETRY
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
    fleet, admission = app[FLEET], app[ADMISSION]
    body, status = _readiness(app)
    figures = {
        "model": app[SETTINGS].model,
        "models": {name: fleet.problem_of(name) or _OK for name in fleet.models},
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
    fleet = app[FLEET]
    checks = {
        "draining": "the service is stopping" if app[STOPPING].is_set() else _OK,
        "triton": _OK if fleet.reachable or not fleet.problem else "Triton can't be reached",
        "model": fleet.problem or _OK,
        "admission": app[ADMISSION].full or _OK,
    }
    ready = all(state == _OK for state in checks.values())
    endpoints = {address: problem or _OK for address, problem in fleet.problems.items()}
    body = {"status": _OK if ready else "unavailable", "checks": checks, "endpoints": endpoints}
    return body, 200 if ready else 503


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    telemetry = request.app[TELEMETRY]
    return web.Response(body=telemetry.exposition(), headers={"Content-Type": telemetry.content_type})
