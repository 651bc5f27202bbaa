"""GET /v1/sessions, GET and DELETE /v1/sessions/{id}: the live sessions as an operator sees them, never their text."""

import time
from typing import Any

from aiohttp import web

from gateway.api.keys import LIVE
from gateway.api.replies import json_response
from gateway.core.errors import ShuttingDown
from gateway.live.session import LiveSession


async def sessions(request: web.Request) -> web.Response:
    """The live sessions: counts and ages, never text."""
    return json_response({"object": "list", "data": [_entry(live) for live in request.app[LIVE].sessions]})


async def session(request: web.Request) -> web.Response:
    """One live session."""
    return json_response(_entry(request.app[LIVE].find(request.match_info["id"])))


async def delete(request: web.Request) -> web.Response:
    """Ends a live session at once; its client is told."""
    live = request.app[LIVE].find(request.match_info["id"])
    live.end("deleted", ShuttingDown("An operator ended this session.", code="session_deleted"))
    return json_response({"id": live.identity.id, "object": "session", "deleted": True})


def _entry(live: LiveSession) -> dict[str, Any]:
    now_s, account = time.monotonic(), live.account
    return {
        "id": live.identity.id,
        "object": "session",
        "door": live.identity.door,
        "state": "detached" if not live.attached else "open" if live.listens else "closing",
        "model": live.config.model,
        "age_s": round(now_s - live.identity.opened_at_s, 3),
        "idle_s": round(now_s - live.heard_at_s, 3),
        "audio_ms": account.audio_ms,
        "buffered_ms": live.buffered_ms,
        "finals": account.finals,
        "failed": account.failed,
        "dropped_ms": account.dropped_ms,
    }
