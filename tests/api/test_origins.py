from typing import Any

import pytest

from tests.live.talking import BY_LENGTH, REALTIME, SECOND, STREAM, refusal, talking
from tests.serving import Gateway, Start, form, get, post, wav

PAGE = "https://shop.example"
FOREIGN = "https://evil.example"


async def preflight(gateway: Gateway, path: str, origin: str, **headers: str) -> tuple[int, Any]:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    async with gateway.client.options(path, headers=asked) as reply:
        return reply.status, reply.headers


async def test_a_page_of_the_list_may_call_every_route(start: Start) -> None:
    async with start(allow_origins=PAGE, admin_key="secret") as gateway:
        resources = gateway.app.router.resources()
        paths = [resource.canonical.format(id="any", file="any") for resource in resources]
        for path in paths:
            status, headers = await preflight(
                gateway,
                path,
                PAGE,
                **{"Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang"},
            )
            assert (status, headers["Access-Control-Allow-Origin"]) == (204, PAGE), path
            assert headers["Access-Control-Allow-Headers"] == "authorization,content-type,x-stainless-lang"
            assert headers["x-request-id"]
        status, headers = await preflight(gateway, "/v1/audio/transcriptions", PAGE)
        assert headers["Access-Control-Allow-Methods"] == "POST"
        assert (await preflight(gateway, "/none", PAGE))[0] == 404
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        assert (await get(gateway, "/v1/audio/transcriptions", headers=asked))[0].status == 405
        reply, _ = await post(gateway, form(wav(0.5), stream="true"), headers={"Origin": PAGE})
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
        assert "x-request-id" in reply.headers["Access-Control-Expose-Headers"]
        reply, _ = await get(gateway, "/v1/sessions", headers={"Origin": PAGE})
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (401, PAGE)
        assert reply.headers["Vary"] == "Origin"


async def test_any_page_may_where_the_list_says_so(start: Start) -> None:
    async with start(allow_origins="*") as gateway:
        reply, _ = await get(gateway, "/v1/models", headers={"Origin": "null"})
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, "*")


async def test_a_foreign_page_is_refused_before_anything_is_done(gateway: Gateway) -> None:
    reply, body = await post(gateway, form(wav(0.5)), headers={"Origin": FOREIGN})
    assert (reply.status, body["error"]["code"]) == (403, "origin_not_allowed")
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert gateway.backend.requests == []
    status, headers = await preflight(gateway, "/v1/audio/transcriptions", FOREIGN)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers


async def test_the_services_own_page_may_call_by_this_machines_name_alone(start: Start, gateway: Gateway) -> None:
    own = f"http://127.0.0.1:{gateway.port}"
    assert (await get(gateway, "/v1/models", headers={"Origin": own}))[0].status == 200
    named = {"Origin": "http://evil.example", "Host": "evil.example"}
    assert (await get(gateway, "/v1/models", headers=named))[0].status == 403
    async with start(api_keys="none") as open_gateway:
        assert (await get(open_gateway, "/v1/models", headers=named))[0].status == 200


@pytest.mark.parametrize("url", [STREAM + SECOND, REALTIME])
async def test_a_websocket_of_a_foreign_page_is_refused_before_the_upgrade(start: Start, url: str) -> None:
    async with start(allow_origins=PAGE, **BY_LENGTH) as gateway:
        status, error, _ = await refusal(gateway, url, headers={"Origin": FOREIGN})
        assert (status, error["code"]) == (403, "origin_not_allowed")
        async with talking(gateway, url, headers={"Origin": PAGE}) as talker:
            assert talker.told


@pytest.mark.parametrize("wanted", ["a" * 2000, "x: y", "é"])
async def test_strange_header_names_are_not_repeated(start: Start, wanted: str) -> None:
    async with start(allow_origins=PAGE) as gateway:
        _, headers = await preflight(gateway, "/v1/models", PAGE, **{"Access-Control-Request-Headers": wanted})
        assert headers["Access-Control-Allow-Headers"] == ""


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/none", "/docs", "/docs/swagger_bundle.js", "/openapi.json"])
async def test_every_answer_has_the_headers_that_browsers_obey(gateway: Gateway, path: str) -> None:
    reply, _ = await get(gateway, path)
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert ("script-src 'self'" in policy) == (path == "/docs")
