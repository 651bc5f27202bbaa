"""The OpenAPI 3.1 document, made of the tables that the server itself runs on."""

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from gateway.api.replies import REPLIES
from gateway.api.routes import ROUTES, Access, Errors, Route
from gateway.api.schemas import ERROR, Content, Schema
from gateway.core.errors import BadRequest, Forbidden, TritoneError, Unauthorized
from gateway.settings import Settings

_PATH_PARAMETER = re.compile(r"{(\w+)}")
_NOT_ALLOWED = 405
_RETRIED = frozenset({429, 503})
_UNAUTHORIZED = 401
_ABOUT = (
    "Speech to text: OpenAI's audio API, live transcription over WebSockets, and what operators need. Every answer has "
    "an x-request-id. A parameter is honoured or refused, never ignored."
)


def document(settings: Settings) -> dict[str, Any]:
    """The document of a server with these settings."""
    paths: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for route in ROUTES:
        paths[route.path][route.method.lower()] = _operation(route, settings)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tritone", "version": version("tritone"), "license": {"name": "MIT"}, "description": _ABOUT},
        "paths": dict(paths),
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "headers": {
                "RequestId": {"schema": {"type": "string"}, "description": "The client's, or ours; also in the log."},
                "RetryAfter": {"schema": {"type": "string"}, "description": "Seconds."},
            },
        },
    }


def _operation(route: Route, settings: Settings) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z]+', '_', route.path)}".rstrip("_"),
        "summary": (inspect.getdoc(route.handler) or "").splitlines()[0],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {**_answers(route), **_failures(route)},
        "security": _security(route.access, settings),
    }
    if route.body:
        operation["requestBody"] = {"required": True, "content": _content(route.body(settings))}
    return operation


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in _PATH_PARAMETER.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(query: Mapping[str, Schema]) -> Iterable[dict[str, Any]]:
    for name, schema in query.items():
        yield {"name": name, "in": "query", "required": "const" in schema, "schema": schema}


def _security(access: Access, settings: Settings) -> list[dict[str, list[str]]]:
    key: list[dict[str, list[str]]] = [{"key": []}]
    if access is Access.PUBLIC:
        return []
    is_required = settings.api_key_file is not None or (access is Access.ADMIN and settings.admin_key)
    return key if is_required else [{}, *key]


def _answers(route: Route) -> dict[str, Any]:
    return {str(status): _response("Done.", content) for status, content in route.answers.items()}


def _failures(route: Route) -> dict[str, Any]:
    """By status, with what it can mean."""
    meanings: defaultdict[int, list[str]] = defaultdict(list)
    for kind in sorted(_errors(route), key=lambda kind: kind.code):
        text = (inspect.getdoc(kind) or "").splitlines()[0]
        meanings[REPLIES[kind].status].append(f"`{kind.code}`: {text}")
    meanings[_NOT_ALLOWED].append("`method_not_allowed`: The path does not take this method.")
    return {
        str(status): _response(" ".join(texts), {"application/json": {"$ref": "#/components/schemas/Error"}}, status)
        for status, texts in meanings.items()
        if status not in route.answers
    }


def _errors(route: Route) -> set[type[TritoneError]]:
    keys: Errors = () if route.access is Access.PUBLIC else (Unauthorized,)
    return {*route.errors, *keys, BadRequest, Forbidden, TritoneError}


def _response(description: str, content: Content, status: int = 200) -> dict[str, Any]:
    headers = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    if status in _RETRIED:
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == _UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}  # type: ignore[dict-item]
    return {"description": description, "headers": headers, **({"content": _content(content)} if content else {})}


def _content(content: Content) -> dict[str, Any]:
    return {media: {"schema": schema, **_encoding(media, schema)} for media, schema in content.items()}


def _encoding(media: str, schema: Schema) -> dict[str, Any]:
    """Each item of a list is a field of its own, which forms are not taken to mean by themselves."""
    if media != "multipart/form-data":
        return {}
    lists = [name for name, each in schema["properties"].items() if each.get("type") == "array"]
    return {"encoding": {name: {"style": "form", "explode": True} for name in lists}}
