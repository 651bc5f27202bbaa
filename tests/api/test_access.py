from pathlib import Path

import openai
import pytest

from gateway.api.routes import ROUTES, Access, Route
from gateway.key_file import add_key
from tests.live.talking import BY_LENGTH, REALTIME, SECOND, STREAM, refusal, talking, tone
from tests.serving import Gateway, Start, form, get, post, wav

BROWSER_KEY = "openai-insecure-api-key."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def user(file: Path) -> str:
    return add_key(file, "shop", is_admin=False, max_keys=10)


@pytest.fixture
def admin(file: Path) -> str:
    return add_key(file, "ops", is_admin=True, max_keys=10)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def asked(gateway: Gateway, method: str, path: str, key: str | None) -> tuple[int, str | None]:
    async with gateway.client.request(
        method, path.format(id="none", file="none"), headers=bearer(key) if key else {}
    ) as reply:
        assert reply.headers["x-request-id"]
        if reply.status == 401:
            assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        body = await reply.json() if reply.content_type == "application/json" else {}
        return reply.status, body["error"]["code"] if "error" in body else None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_asks_for_the_key_it_needs(
    start: Start, file: Path, user: str, admin: str, route: Route
) -> None:
    async with start(api_keys=str(file)) as gateway:
        for key in (None, "trt_wrong"):
            told = await asked(gateway, route.method, route.path, key)
            assert (told == (401, "invalid_api_key")) == (route.access is not Access.PUBLIC)
        told = await asked(gateway, route.method, route.path, user)
        assert (told == (403, "forbidden")) == (route.access is Access.ADMIN)
        assert (await asked(gateway, route.method, route.path, admin))[0] not in (401, 403)


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("cross-site", 401), ("same-site", 401)]
)
async def test_a_strangers_page_is_no_program_on_this_machine(gateway: Gateway, site: str, status: int) -> None:
    async with gateway.client.get("/debug/memory", headers={"Sec-Fetch-Site": site}) as reply:
        assert reply.status == status


async def test_what_has_no_route_needs_no_key(start: Start, file: Path, user: str) -> None:
    async with start(api_keys=str(file)) as gateway:
        assert (await get(gateway, "/v2/none"))[0].status == 404
        assert (await get(gateway, "/v1/audio/transcriptions"))[0].status == 405


async def test_openais_sdk_says_what_is_wrong(start: Start, file: Path, user: str) -> None:
    async with start(api_keys=str(file)) as gateway:
        base = f"http://127.0.0.1:{gateway.port}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.models.list()
            assert caught.value.code == "invalid_api_key"
        async with openai.AsyncOpenAI(base_url=base, api_key=user, max_retries=0) as client:
            assert [model.id async for model in await client.models.list()] == ["base", "whisper-1"]


@pytest.mark.parametrize(("url", "protocol"), [(STREAM + SECOND, "tritone"), (REALTIME, "realtime")])
async def test_a_browser_gives_its_key_as_a_subprotocol(
    start: Start, file: Path, user: str, url: str, protocol: str
) -> None:
    async with start(api_keys=str(file), **BY_LENGTH) as gateway:
        status, error, _ = await refusal(gateway, url)
        assert (status, error["code"]) == (401, "invalid_api_key")
        status, _, _ = await refusal(gateway, url, headers={"Sec-WebSocket-Protocol": f"{protocol}, {BROWSER_KEY}no"})
        assert status == 401
        async with talking(gateway, url, protocols=(protocol, BROWSER_KEY + user)) as talker:
            assert talker.socket.protocol == protocol
            assert talker.told[0]["type"] == "session.created" or talker.told[0]["session_id"]
        async with talking(gateway, url, headers=bearer(user)) as talker:
            assert talker.told


async def test_limits_go_by_the_name_of_the_key(start: Start, file: Path, user: str, admin: str) -> None:
    async with (
        start(api_keys=str(file), max_sessions_per_key=1, **BY_LENGTH) as gateway,
        talking(gateway, headers=bearer(user)) as talker,
    ):
        await talker.socket.send_bytes(tone(0.1))
        for headers in (bearer(user), {"Sec-WebSocket-Protocol": f"tritone, {BROWSER_KEY}{user}"}):
            status, error, _ = await refusal(gateway, headers=headers)
            assert (status, error["code"]) == (429, "quota_exceeded")
        async with talking(gateway, headers=bearer(admin)) as other:
            assert other.told


async def test_a_key_is_never_logged_and_its_name_is(
    start: Start, file: Path, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with start(api_keys=str(file)) as gateway:
        reply, _ = await post(gateway, form(wav(0.5)), headers=bearer(user))
        assert reply.status == 200
        await asked(gateway, "GET", "/v1/models", f"{user}x")
    lines = [str(vars(record)) for record in caplog.records]
    assert not any(user in line for line in lines)
    assert any("'key': 'shop'" in line for line in lines)
