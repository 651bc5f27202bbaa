"""OpenAI's GET /v1/models and /v1/models/{id}, and which model a name means."""

from typing import Any

from aiohttp import web

from gateway.api.keys import SETTINGS, STARTED_AT_UNIX_S, WATCH
from gateway.api.replies import json_response
from gateway.core.errors import NotFound

ALIAS = "whisper-1"
OWNER = "tritone"


def served_model(app: web.Application, name: str) -> str:
    """The name under which Triton has the model that a client calls `name`. Raises NotFound."""
    default = app[SETTINGS].model
    if name in (ALIAS, default):
        return default
    if name in app[WATCH].served:
        return name
    raise _not_found()


async def models(request: web.Request) -> web.Response:
    """The models that can be asked for now."""
    return json_response({"object": "list", "data": [_entry(request.app, name) for name in _names(request.app)]})


async def model(request: web.Request) -> web.Response:
    """One of them."""
    name = request.match_info["id"]
    if name not in _names(request.app):
        raise _not_found()
    return json_response(_entry(request.app, name))


def _names(app: web.Application) -> list[str]:
    default = app[SETTINGS].model
    served = app[WATCH].served
    return [*([default, ALIAS] if default in served else []), *(name for name in served if name != default)]


def _not_found() -> NotFound:
    return NotFound(
        "There is no such model; GET /v1/models lists those there are.", code="model_not_found", param="model"
    )


def _entry(app: web.Application, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": app[STARTED_AT_UNIX_S], "owned_by": OWNER}
