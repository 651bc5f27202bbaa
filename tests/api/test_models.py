import pytest

from gateway.core.errors import ModelUnavailable
from tests.fakes import FakeTranscriber
from tests.serving import Gateway, Start, form, get, health_of, post, wav

KEY = "correct horse"


async def order(gateway: Gateway, url: str, **headers: str) -> tuple[int, dict[str, object]]:
    async with gateway.client.post(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as reply:
        return reply.status, await reply.json()


async def test_the_models_of_tritons_repository_are_listed_with_their_state(start: Start) -> None:
    backend = FakeTranscriber()
    backend.models, backend.unloaded, backend.foreign = ("base", "small", "resnet"), ("turbo",), ("resnet",)
    async with start(backend) as gateway:
        backend.canary_error = ModelUnavailable("gone")
        health_of(gateway, "small").failed(backend.canary_error)
        _, body = await get(gateway, "/v1/models")
        assert body["object"] == "list"
        assert {entry["id"]: entry["state"] for entry in body["data"]} == {
            "base": "ready",
            "whisper-1": "ready",
            "small": "unavailable",
            "turbo": "unavailable",
        }
        _, one = await get(gateway, "/v1/models/small")
        assert one == body["data"][2]
        assert (one["object"], one["version"]) == ("model", "1")
        reply, body = await get(gateway, "/v1/models/gpt-4o")
        assert (reply.status, body["error"]["code"]) == (404, "model_not_found")


async def test_a_model_that_is_not_ready_is_refused_with_the_list_of_those_that_are(start: Start) -> None:
    backend = FakeTranscriber()
    backend.models, backend.unloaded = ("base", "small"), ("turbo",)
    async with start(backend) as gateway:
        backend.canary_error = ModelUnavailable("gone")
        health_of(gateway, "small").failed(backend.canary_error)
        for model, status, message in (
            ("gpt-4o", 404, "There is no such model. Ready now: base, whisper-1."),
            ("turbo", 503, "The model is not loaded. Ready now: base, whisper-1."),
            ("small", 503, "The model can't be reached at the moment."),
        ):
            reply, body = await post(gateway, form(wav(0.5), model=model))
            assert (reply.status, body["error"]["message"]) == (status, message)
        assert backend.requests == []


async def test_models_are_loaded_and_unloaded(gateway: Gateway) -> None:
    status, body = await order(gateway, "/v1/models/whisper-1/unload")
    assert (status, body["id"], body["state"], body["problem"]) == (
        200,
        "base",
        "unavailable",
        "the model is not loaded",
    )
    reply, answer = await post(gateway, form(wav(0.5)))
    assert (reply.status, answer["error"]["code"]) == (503, "model_unavailable")
    assert (await get(gateway, "/readyz"))[0].status == 503
    status, body = await order(gateway, "/v1/models/base/load")
    assert (status, body["state"], body["problem"]) == (200, "ready", None)
    assert (await order(gateway, "/v1/models/base/reload"))[0] == 200
    assert gateway.backend.orders == [("unload", "base"), ("load", "base"), ("replace", "base")]
    assert (await order(gateway, "/v1/models/gpt-4o/load"))[0] == 404


async def test_a_load_that_fails_is_told(gateway: Gateway) -> None:
    await order(gateway, "/v1/models/base/unload")
    gateway.backend.load_error = ModelUnavailable("Triton could not load the model; its log says why.")
    status, body = await order(gateway, "/v1/models/base/load")
    assert (status, body["error"]) == (
        503,
        {
            "message": gateway.backend.load_error.message,
            "type": "server_error",
            "param": None,
            "code": "model_unavailable",
        },
    )


async def test_the_status_tells_how_a_model_is(gateway: Gateway) -> None:
    reply, body = await get(gateway, "/v1/models/base/status")
    assert reply.status == 200
    assert body.pop("last_answer_age_s") < 30
    endpoints = {"127.0.0.1:8001": "ok"}
    assert body == {"id": "base", "state": "ready", "problem": None, "resident_bytes": None, "endpoints": endpoints}
    assert (await get(gateway, "/v1/models/small/status"))[0].status == 404


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Origin", "http://listed.example"),
        ("X_Forwarded_For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("Host", "made-up.example"),
    ],
)
async def test_without_a_key_only_a_program_on_this_machine_may(start: Start, header: str, value: str) -> None:
    async with start(allow_origins="http://listed.example") as gateway:
        status, body = await order(gateway, "/v1/models/base/unload", **{header: value})
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")  # type: ignore[index]  # an error has a code
        assert gateway.backend.orders == []


@pytest.mark.parametrize(
    ("given", "status"),
    [(f"Bearer {KEY}", 200), (f"bearer {KEY}", 200), (f"Basic {KEY}", 401), ("Bearer wrong", 401), ("Bearer ü", 401)],
)
async def test_with_a_key_everybody_needs_it(start: Start, given: str, status: int) -> None:
    async with start(admin_key=KEY) as gateway:
        assert (await get(gateway, "/v1/models/base/status"))[0].status == 401
        assert (await order(gateway, "/v1/models/base/reload", Authorization=given))[0] == status
