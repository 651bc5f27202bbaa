from tests.live.talking import BY_LENGTH, SECOND, STREAM, counted, nothing_is_left, talking, tone
from tests.serving import Start, get

KEY = {"Authorization": "Bearer secret"}


async def test_an_operator_sees_counts_and_never_text(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, STREAM + SECOND + "&session_id=mine") as talker:
        await talker.socket.send_bytes(tone(1.25))
        await talker.until("final")
        _, found = await get(gateway, "/v1/sessions")
        assert [entry["id"] for entry in found["data"]] == ["mine"]
        _, entry = await get(gateway, "/v1/sessions/mine")
        assert entry["age_s"] >= entry["idle_s"] >= 0
        fixed = {name: entry[name] for name in entry if not name.endswith("_s")}
        assert fixed == {
            "id": "mine",
            "object": "session",
            "door": "stream",
            "state": "open",
            "model": "base",
            "audio_ms": 1250,
            "buffered_ms": 350,
            "finals": 1,
            "failed": 0,
            "dropped_ms": 0,
        }


async def test_an_operator_can_end_one(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, STREAM + SECOND + "&session_id=mine") as talker:
        await talker.socket.send_bytes(tone(0.5))
        async with gateway.client.delete("/v1/sessions/mine") as reply:
            assert await reply.json() == {"id": "mine", "object": "session", "deleted": True}
        assert await talker.rest() == 1001
        assert talker.of("error")[0]["code"] == "session_deleted"
        assert [told["type"] for told in talker.told][-3:] == ["failed", "error", "session.closed"]
        assert counted(gateway, "tritone_sessions_ended_total", reason="deleted") == 1
        await nothing_is_left(gateway)
        reply, body = await get(gateway, "/v1/sessions/mine")
        assert (reply.status, body["error"]["code"]) == (404, "session_not_found")


async def test_where_there_is_a_key_nobody_else_may_look(start: Start) -> None:
    async with start(admin_key="secret") as gateway:
        for url in ("/v1/sessions", "/v1/sessions/any"):
            reply, body = await get(gateway, url)
            assert (reply.status, body["error"]["code"]) == (401, "invalid_api_key")
        async with gateway.client.delete("/v1/sessions/any") as reply:
            assert reply.status == 401
        reply, body = await get(gateway, "/v1/sessions", headers=KEY)
        assert (reply.status, body["data"]) == (200, [])
