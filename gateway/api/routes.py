"""The routes: what answers where, who may ask, and what can come back; the server and its document are made of this."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from aiohttp.typedefs import Handler

from gateway.api import (
    debug,
    documentation,
    health,
    models,
    posting_schemas,
    realtime,
    schemas,
    sessions,
    stream,
    transcriptions,
    utterance,
)
from gateway.api.schemas import Answers, Content, Schema
from gateway.core import errors
from gateway.core.errors import TritoneError
from gateway.settings import Settings

Errors: TypeAlias = tuple[type[TritoneError], ...]


class Access(Enum):
    """Who may ask: everybody; whoever has a key, where callers need one; operators."""

    PUBLIC = auto()
    CALLER = auto()
    ADMIN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. `answers` are those that are no error; `query` is by name; `body` goes by settings."""

    method: str = "GET"
    path: str
    handler: Handler
    access: Access = Access.CALLER
    answers: Answers
    errors: Errors = ()
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Callable[[Settings], Content] | None = None


_FILE_ERRORS: Errors = (
    *(errors.BadRequest, errors.NotFound, errors.BadAudio, errors.UnsupportedAudio, errors.AudioTooLong),
    *(errors.QuotaExceeded, errors.IdleTimeout, errors.Overloaded, errors.ShuttingDown, errors.DeadlineExceeded),
    *(errors.ModelUnavailable, errors.ModelFailed),
)
_POSTED_ERRORS: Errors = (
    *(errors.BadRequest, errors.NotFound, errors.UnusableAudio, errors.AudioTooLong, errors.QuotaExceeded),
    *(errors.IdleTimeout, errors.Overloaded, errors.ShuttingDown, errors.DeadlineExceeded),
    *(errors.ModelUnavailable, errors.ModelFailed),
)
_LIVE_ERRORS: Errors = (
    *(errors.BadRequest, errors.NotFound, errors.Unauthorized, errors.QuotaExceeded, errors.Overloaded),
    *(errors.ShuttingDown, errors.ModelUnavailable),
)
_ORDER_ERRORS: Errors = (
    *(errors.NotFound, errors.Overloaded, errors.ModelUnavailable, errors.ModelFailed, errors.DeadlineExceeded),
)


def _file(path: str, handler: Handler) -> Route:
    return Route(
        method="POST",
        path=path,
        handler=handler,
        answers=schemas.TRANSCRIPTIONS,
        errors=_FILE_ERRORS,
        body=lambda settings: schemas.transcription_form(max_timeout_s=settings.request_timeout_s),
    )


def _live(path: str, handler: Handler, query: Mapping[str, Schema]) -> Route:
    return Route(path=path, handler=handler, answers=schemas.UPGRADE, errors=_LIVE_ERRORS, query=query)


def _order(action: str, handler: Handler) -> Route:
    return Route(
        method="POST",
        path=f"/v1/models/{{id}}/{action}",
        handler=handler,
        access=Access.ADMIN,
        answers=schemas.MODEL_STATUS,
        errors=_ORDER_ERRORS,
    )


def _operators(path: str, handler: Handler, answers: Answers, *, method: str = "GET") -> Route:
    found: Errors = (errors.NotFound,) if "{id}" in path else ()
    return Route(method=method, path=path, handler=handler, access=Access.ADMIN, answers=answers, errors=found)


def _public(path: str, handler: Handler, answers: Answers) -> Route:
    return Route(path=path, handler=handler, access=Access.PUBLIC, answers=answers)


ROUTES: tuple[Route, ...] = (
    _file("/v1/audio/transcriptions", transcriptions.transcriptions),
    _file("/v1/audio/translations", transcriptions.translations),
    Route(path="/v1/models", handler=models.models, answers=schemas.MODELS),
    Route(path="/v1/models/{id}", handler=models.model, answers=schemas.MODEL, errors=(errors.NotFound,)),
    _live("/v1/stream", stream.stream, schemas.STREAM_QUERY),
    _live("/v1/realtime", realtime.realtime, schemas.REALTIME_QUERY),
    _operators("/v1/sessions", sessions.sessions, schemas.SESSIONS),
    _operators("/v1/sessions/{id}", sessions.session, schemas.SESSION),
    _operators("/v1/sessions/{id}", sessions.delete, schemas.SESSION_DELETED, method="DELETE"),
    _operators("/v1/models/{id}/status", models.status, schemas.MODEL_STATUS),
    _order("load", models.load),
    _order("unload", models.unload),
    _order("reload", models.reload),
    Route(
        method="POST",
        path="/utterance",
        handler=utterance.utterance,
        answers=posting_schemas.UTTERANCE,
        errors=_POSTED_ERRORS,
        body=lambda settings: posting_schemas.utterance_body(max_timeout_s=settings.request_timeout_s),
    ),
    Route(
        method="POST",
        path="/reset",
        handler=utterance.reset,
        answers=posting_schemas.RESET,
        errors=_POSTED_ERRORS,
        body=lambda _: posting_schemas.reset_body(),
    ),
    _public("/health", health.health, schemas.HEALTH),
    _public("/livez", health.livez, schemas.LIVE),
    _public("/readyz", health.readyz, schemas.READY),
    Route(
        path="/debug/memory",
        handler=debug.memory,
        access=Access.ADMIN,
        answers=schemas.MEMORY,
        errors=(errors.BadRequest, errors.QuotaExceeded),
        query=schemas.MEMORY_QUERY,
    ),
    Route(path="/metrics", handler=health.metrics, answers=schemas.METRICS),
    _public("/openapi.json", documentation.openapi, schemas.DOCUMENT),
    _public("/docs", documentation.page, schemas.PAGE),
    Route(
        path="/docs/{file}",
        handler=documentation.asset,
        access=Access.PUBLIC,
        answers=schemas.ASSET,
        errors=(errors.NotFound,),
    ),
)


def access_of(path: str) -> Access:
    """Who may ask a path; one that is not listed is no exception."""
    return _ACCESS.get(path, Access.CALLER)


_ACCESS = {route.path: route.access for route in ROUTES}
