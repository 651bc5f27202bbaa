"""OpenAI's GET /v1/models and /v1/models/{id}, what operators do with models, and which model a name means."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.api.keys import FLEET, SETTINGS, STARTED_AT_UNIX_S
from gateway.api.replies import json_response
from gateway.core.errors import ModelUnavailable, NotFound
from gateway.triton.control import IndexEntry

ALIAS = "whisper-1"
OWNER = "tritone"
READY = "ready"
_OK = "ok"


def served_model(app: web.Application, name: str, *, arrived_at_s: float | None = None) -> str:
    """The name under which Triton has the model that a client calls `name`.

    Raises NotFound, and ModelUnavailable if it may not be asked and may not have been at `arrived_at_s`.
    """
    fleet, model = app[FLEET], app[SETTINGS].model if name == ALIAS else name
    if model not in fleet.models:
        known = any(entry["id"] == model for entry in _entries(app))
        raise _not_loaded(app) if known else _not_found(app)
    if fleet.unloaded(model):
        raise _not_loaded(app)
    fleet.require(model, arrived_at_s=time.monotonic() if arrived_at_s is None else arrived_at_s)
    return model


async def models(request: web.Request) -> web.Response:
    """The models of Triton's repository, with their state; those that are ready can be asked for."""
    return json_response({"object": "list", "data": _entries(request.app)})


async def model(request: web.Request) -> web.Response:
    """One model of Triton's repository."""
    for entry in _entries(request.app):
        if entry["id"] == request.match_info["id"]:
            return json_response(entry)
    raise _not_found(request.app)


async def status(request: web.Request) -> web.Response:
    """How one model is: its state, why it can't be asked if so, its size, its last answer."""
    return json_response(_status(request.app, _named(request)))


async def load(request: web.Request) -> web.Response:
    """Loads a model of Triton's repository."""
    return await _changed(request, request.app[FLEET].load)


async def unload(request: web.Request) -> web.Response:
    """Unloads a model, after what it has been asked."""
    return await _changed(request, request.app[FLEET].unload)


async def reload(request: web.Request) -> web.Response:
    """Loads a model afresh, without a pause in its service."""
    return await _changed(request, request.app[FLEET].reload)


async def _changed(request: web.Request, change: Callable[[str], Awaitable[None]]) -> web.Response:
    name = _named(request)
    await change(name)
    return json_response(_status(request.app, name))


def _named(request: web.Request) -> str:
    name = request.match_info["id"]
    return request.app[SETTINGS].model if name == ALIAS else name


def _entries(app: web.Application) -> list[dict[str, Any]]:
    """The default first, its alias after it, then the others by name."""
    default = app[SETTINGS].model
    found = [_entry(app, entry) for entry in app[FLEET].index]
    alias = [entry | {"id": ALIAS} for entry in found if entry["id"] == default]
    others = [entry for entry in found if entry["id"] != default]
    return [*(entry for entry in found if entry["id"] == default), *alias, *others]


def _entry(app: web.Application, entry: IndexEntry) -> dict[str, Any]:
    return {
        "id": entry.name,
        "object": "model",
        "created": app[STARTED_AT_UNIX_S],
        "owned_by": OWNER,
        "state": _state(app, entry.name),
        "version": entry.version,
    }


def _state(app: web.Application, name: str) -> str:
    """What may be asked is ready; for the rest it is Triton's word, except that Triton finds a dead one ready too."""
    fleet = app[FLEET]
    if name in fleet.models and fleet.refusal_of(name) is None:
        return READY
    state = next((entry.state.lower() for entry in fleet.index if entry.name == name), "unavailable")
    return "unavailable" if state == READY else state


def _status(app: web.Application, name: str) -> dict[str, Any]:
    keepers = app[FLEET].keepers(name)
    problems = {address: keeper.health.problem for address, keeper in keepers.items()}
    age_s = min(keeper.health.answer_age_s for keeper in keepers.values())
    return {
        "id": name,
        "state": _state(app, name),
        "problem": next(iter(problems.values())) if all(problems.values()) else None,
        "last_answer_age_s": None if age_s == float("inf") else round(age_s, 3),
        "resident_bytes": max((keeper.resident_bytes or 0 for keeper in keepers.values()), default=0) or None,
        "endpoints": {address: problem or _OK for address, problem in problems.items()},
    }


def _ready(app: web.Application) -> str:
    names = [entry["id"] for entry in _entries(app) if entry["state"] == READY]
    return ", ".join(names) or "none"


def _not_found(app: web.Application) -> NotFound:
    message = f"There is no such model. Ready now: {_ready(app)}."
    return NotFound(message, code="model_not_found", param="model")


def _not_loaded(app: web.Application) -> ModelUnavailable:
    return ModelUnavailable(f"The model is not loaded. Ready now: {_ready(app)}.", param="model")
