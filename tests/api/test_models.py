from tests.fakes import FakeTranscriber
from tests.serving import Start, get


async def test_what_triton_has_loaded_is_listed(start: Start) -> None:
    backend = FakeTranscriber()
    backend.models = ("base", "small")
    async with start(backend) as gateway:
        _, body = await get(gateway, "/v1/models")
        assert body["object"] == "list"
        assert [entry["id"] for entry in body["data"]] == ["base", "whisper-1", "small"]
        _, one = await get(gateway, "/v1/models/small")
        assert one == body["data"][2]
        assert one["object"] == "model"
        reply, body = await get(gateway, "/v1/models/gpt-4o")
        assert (reply.status, body["error"]["code"]) == (404, "model_not_found")


async def test_a_model_that_is_not_loaded_is_not_listed(start: Start) -> None:
    backend = FakeTranscriber()
    backend.models = ()
    async with start(backend) as gateway:
        _, body = await get(gateway, "/v1/models")
        assert body["data"] == []
