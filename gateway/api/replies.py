"""The one table from errors to HTTP status, WebSocket close code and OpenAI's error body."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from gateway.core import errors

# The OpenAI SDK repeats these by itself unless told otherwise.
_REPEATED_STATUSES = frozenset({408, 409, 429})
_UNAUTHORIZED = 401
_SERVER_ERRORS = 500
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """How an error looks outside."""

    status: int
    close_code: int
    type: str


REPLIES: Mapping[type[errors.TritoneError], Row] = {
    errors.BadRequest: Row(400, 1008, "invalid_request_error"),
    errors.NotFound: Row(404, 1008, "invalid_request_error"),
    errors.Unauthorized: Row(401, 1008, "authentication_error"),
    errors.Forbidden: Row(403, 1008, "permission_error"),
    errors.BadAudio: Row(400, 1007, "invalid_request_error"),
    errors.UnsupportedAudio: Row(415, 1003, "invalid_request_error"),
    errors.UnusableAudio: Row(422, 1007, "invalid_request_error"),
    errors.AudioTooLong: Row(413, 1009, "invalid_request_error"),
    errors.IdleTimeout: Row(408, 1008, "invalid_request_error"),
    errors.QuotaExceeded: Row(429, 1008, "rate_limit_error"),
    errors.Overloaded: Row(503, 1013, "server_error"),
    errors.ShuttingDown: Row(503, 1001, "server_error"),
    errors.DeadlineExceeded: Row(504, 1008, "server_error"),
    errors.ModelUnavailable: Row(503, 1013, "server_error"),
    errors.ModelFailed: Row(502, 1011, "server_error"),
    errors.TritoneError: Row(500, 1011, "server_error"),
}


def json_response(data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(data), status=status, headers=headers, content_type="application/json")


def error_body(message: str, kind: str, *, code: str | None, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(error: errors.TritoneError) -> web.Response:
    """The answer that tells the client of `error`."""
    row = REPLIES[type(error)]
    headers = {}
    if row.status in (429, 503):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s or _RETRY_AFTER_S))
    if row.status == _UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="tritone"'
    if row.status in _REPEATED_STATUSES or row.status >= _SERVER_ERRORS:
        headers["x-should-retry"] = "true" if error.retryable else "false"
    body = error_body(error.message, row.type, code=error.reason, param=error.param)
    return json_response(body, status=row.status, headers=headers)


def http_error_response(error: web.HTTPException) -> web.Response:
    """The answer for what aiohttp itself refuses: no such route, a method that is not allowed."""
    message = {404: "There is no such route.", 405: "This route does not take this method."}.get(
        error.status, error.reason
    )
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "bad_request")
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return json_response(error_body(message, "invalid_request_error", code=code), status=error.status, headers=headers)


def bug_response(request_id: str) -> web.Response:
    """The answer to a request that met a bug: nothing but the id by which the log tells more."""
    body = error_body(f"Internal error; request {request_id}.", "server_error", code="internal_error")
    return json_response(body, status=500, headers={"x-should-retry": "false"})
