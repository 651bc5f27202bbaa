import inspect
import re
from typing import Any

import orjson
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gateway.api import schemas
from gateway.api.form import CHOICES, FLAGS, LISTS, NUMBERS, TEXTS, UNSUPPORTED, parse
from gateway.api.openapi import document
from gateway.api.routes import ROUTES
from gateway.core.audio import Task
from gateway.core.errors import BadRequest
from gateway.core.wire.fields import Fields
from gateway.core.wire.stream_messages import StreamOptions, parse_start
from gateway.settings import Settings
from tests.live.talking import BY_LENGTH, SECOND, STREAM, talking, tone
from tests.serving import Gateway, Start, form, get, post, wav

FORM = document(Settings())["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"][
    "multipart/form-data"
]


async def test_the_document_is_served_and_valid(gateway: Gateway) -> None:
    reply, served = await get(gateway, "/openapi.json")
    assert reply.status == 200
    validate(served)
    assert served == orjson.loads(orjson.dumps(document(Settings())))


async def test_it_has_every_route_and_no_other(gateway: Gateway) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in gateway.app.router.routes()
        if route.resource and route.method != "HEAD"
    }
    _, told = await get(gateway, "/openapi.json")
    assert {(method.upper(), path) for path, methods in told["paths"].items() for method in methods} == served
    names = [operation["operationId"] for methods in told["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_says_what_it_does(route: Any) -> None:
    assert inspect.getdoc(route.handler)


def test_a_file_may_meet_a_quota() -> None:
    assert "429" in document(Settings())["paths"]["/v1/audio/translations"]["post"]["responses"]


def test_the_form_has_every_field_that_is_taken_and_no_other() -> None:
    examples = {"boolean": "true", "string": "en"}
    lists = {name for name, schema in FORM["schema"]["properties"].items() if schema.get("type") == "array"}
    assert {name.removesuffix("[]") for name in lists} == LISTS
    assert FORM["encoding"] == {name: {"style": "form", "explode": True} for name in lists}
    for name, schema in FORM["schema"]["properties"].items():
        if name == "file":
            continue
        item = schema.get("items", schema)
        value = item["enum"][0] if "enum" in item else examples.get(item["type"]) or str(item["minimum"])
        given = {"model": "m", "response_format": "verbose_json" if "granularities" in name else "json", name: value}
        parse(given.items(), task=Task.TRANSCRIBE, max_timeout_s=10)
    told = {name.removesuffix("[]") for name in FORM["schema"]["properties"]}
    refused = {name for name, accepted in UNSUPPORTED.items() if not accepted}
    assert told == {"file", *NUMBERS, *FLAGS, *TEXTS, *CHOICES, *LISTS, *UNSUPPORTED} - refused
    with pytest.raises(BadRequest):
        parse({"model": "m", "colour": "red"}.items(), task=Task.TRANSCRIBE, max_timeout_s=10)


def test_a_streams_query_has_every_option_and_no_other() -> None:
    known: set[str] = set()

    class Spy(Fields):
        def __init__(self, data: object, names: Any, **options: Any) -> None:
            known.update(names)
            super().__init__(data, names, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.core.wire.stream_messages.Fields", Spy)
        parse_start({}, StreamOptions(model="base"), is_query=True)
    assert known == set(schemas.STREAM_QUERY)


def test_whether_a_key_is_needed_is_told(tmp_path: Any) -> None:
    free, guarded = document(Settings()), document(Settings(api_keys=str(tmp_path / "keys")))
    assert free["paths"]["/v1/models"]["get"]["security"] == [{}, {"key": []}]
    assert guarded["paths"]["/v1/models"]["get"]["security"] == [{"key": []}]
    assert guarded["paths"]["/readyz"]["get"]["security"] == []


async def test_answers_are_what_the_document_says(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        _, told = await get(gateway, "/openapi.json")

        def check(path: str, method: str, status: int, body: object) -> None:
            content = told["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
            OAS31Validator({**content, "components": told["components"]}).validate(body)

        for verbose in ({}, {"response_format": "verbose_json", "timestamp_granularities[]": "word"}):
            reply, body = await post(gateway, form(wav(2.0), **verbose))
            check("/v1/audio/transcriptions", "post", reply.status, body)
        async with talking(gateway, STREAM + SECOND + "&session_id=mine") as talker:
            await talker.socket.send_bytes(tone(0.1))
            for path in ("/v1/models", "/v1/models/{id}", "/v1/models/{id}/status", "/livez", "/readyz"):
                reply, body = await get(gateway, path.format(id="base"))
                check(path, "get", reply.status, body)
            for path in ("/v1/sessions", "/v1/sessions/{id}"):
                reply, body = await get(gateway, path.format(id="mine"))
                check(path, "get", reply.status, body)
        reply, body = await get(gateway, "/v1/models/none")
        check("/v1/models/{id}", "get", 404, body)


async def test_the_page_needs_nothing_from_elsewhere(gateway: Gateway) -> None:
    reply, text = await get(gateway, "/docs")
    assert (reply.status, reply.content_type) == (200, "text/html")
    parts = re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    assert len(parts) == 3
    for part in parts:
        reply, _ = await get(gateway, f"/{part}")
        assert (reply.status, reply.content_type) == (200, "text/css" if part.endswith("css") else "text/javascript")
    reply, _ = await get(gateway, "/docs/../__init__.py")
    assert reply.status == 404
    assert (await get(gateway, "/docs/redoc.js"))[0].status == 404
