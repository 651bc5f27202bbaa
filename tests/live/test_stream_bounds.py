import asyncio

import pytest

from gateway.api.keys import DRAINING, LIVE
from gateway.app import drained
from gateway.core.errors import ShuttingDown
from gateway.core.live.session_config import SessionConfig
from tests.live.talking import (
    BY_LENGTH,
    SECOND,
    STREAM,
    Talker,
    counted,
    nothing_is_left,
    refusal,
    talking,
    talking_raw,
    tone,
)
from tests.serving import Start, eventually, get


async def test_a_client_that_says_nothing_at_first_is_told_and_closed(start: Start) -> None:
    async with start(configure_timeout_s=0.05) as gateway, gateway.client.ws_connect(STREAM) as socket:
        talker = Talker(socket)
        assert (await talker.until("error"))["code"] == "idle_timeout"
        assert await talker.rest() == 1008
        await nothing_is_left(gateway)
        assert 'tritone_sessions_refused_total{code="idle_timeout"} 1.0' in (await get(gateway, "/metrics"))[1]


async def test_a_session_that_would_begin_after_the_end_is_refused(start: Start) -> None:
    async with start(drain_s=5) as gateway, gateway.client.ws_connect(STREAM) as socket:
        ending = asyncio.create_task(drained(gateway.app))
        await eventually(gateway.app[DRAINING].is_set)
        await socket.send_json({"type": "configure"})
        talker = Talker(socket)
        assert await talker.rest() == 1001
        assert talker.of("error")[0]["code"] == "shutting_down"
        await ending


async def test_a_client_that_says_nothing_while_it_ends_is_told_so(start: Start) -> None:
    async with start(configure_timeout_s=0.3) as gateway, gateway.client.ws_connect(STREAM) as socket:
        gateway.app[DRAINING].set()
        assert await Talker(socket).rest() == 1001


async def test_a_full_house_is_told_before_the_upgrade(start: Start) -> None:
    async with start(max_sessions=2, max_sessions_per_key=1) as gateway, talking(gateway):
        status, error, headers = await refusal(gateway)
        assert (status, error["code"]) == (429, "quota_exceeded")
        assert headers["Retry-After"]
        async with talking(gateway, headers={"Authorization": "Bearer other"}):
            status, error, headers = await refusal(gateway, headers={"Authorization": "Bearer third"})
            assert (status, error["code"]) == (503, "overloaded")
            assert headers["Retry-After"]


async def test_a_client_faster_than_the_model_is_slowed_and_loses_nothing(start: Start) -> None:
    async with start(**BY_LENGTH, max_session_audio_ms=16_000) as gateway, talking(gateway) as talker:
        gateway.backend.gate.clear()
        sending = asyncio.create_task(talker.socket.send_bytes(tone(30)))
        assert (await talker.until("backpressure"))["action"] == "slow_down"
        assert (await talker.until("backpressure"))["action"] == "pause"
        await sending
        await talker.say("close")
        gateway.backend.gate.set()
        assert await talker.rest() == 1000
        assert talker.told[-1] == {
            "type": "session.closed",
            "audio_ms": 30_000,
            "finals": 34,
            "failed": 0,
            "dropped_ms": 0,
        }
        assert talker.of("backpressure")[-1]["action"] == "resume"


async def test_without_room_for_its_audio_a_session_waits_and_then_ends(start: Start) -> None:
    limits = {"max_live_audio_mib": 1, "audio_budget_wait_s": 0.05, "max_message_bytes": 1 << 20}
    async with start(**BY_LENGTH, **limits) as gateway, talking(gateway) as first, talking(gateway) as second:
        gateway.backend.gate.clear()
        for talker in (first, second):
            await talker.socket.send_bytes(tone(26))
        await eventually(lambda: counted(gateway, "tritone_live_audio_waits_total") > 0)
        await eventually(lambda: not all(live.listens for live in gateway.app[LIVE].sessions))
        gateway.backend.gate.set()
        for talker in (first, second):
            if not talker.socket.closed:
                await talker.say("close")
        assert 1013 in (await first.rest(), await second.rest())


async def test_a_client_that_does_not_read_is_closed(start: Start) -> None:
    settings = BY_LENGTH | {"send_timeout_s": 0.1, "close_timeout_s": 0.1, "outbox_messages": 8}
    async with start(**settings) as gateway, talking_raw(gateway) as raw:
        gateway.backend.text = "long" * 60_000
        for _ in range(40):
            await raw.send(2, tone(1.0))
        await eventually(lambda: counted(gateway, "tritone_slow_readers_total") > 0)
        await nothing_is_left(gateway)


async def test_a_silent_client_is_told_and_closed(start: Start) -> None:
    async with start(session_idle_s=0.1) as gateway, talking(gateway) as talker:
        assert await talker.rest() == 1008
        assert talker.of("error")[0]["code"] == "idle_timeout"


async def test_an_old_session_ends_in_order(start: Start) -> None:
    async with start(**BY_LENGTH, session_age_s=1) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        assert await talker.rest() == 1008
        assert talker.of("error")[0]["code"] == "session_expired"
        assert len(talker.of("final")) == 1


async def test_stopping_answers_what_is_open_and_says_goodbye(start: Start) -> None:
    async with start(**BY_LENGTH, drain_s=5) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        await talker.until("speech.started")
        stopping = asyncio.create_task(drained(gateway.app))
        assert await talker.rest() == 1001
        await stopping
        assert [told["type"] for told in talker.told][2:] == ["final", "error", "session.closed"]
        assert talker.of("error")[0]["code"] == "shutting_down"


async def test_a_session_that_a_drain_overtakes_is_refused(start: Start) -> None:
    async with start() as gateway:
        registry = gateway.app[LIVE]
        opening = asyncio.create_task(registry.open(registry.admit("me"), SessionConfig(model="base"), door="stream"))
        await asyncio.sleep(0)
        assert len(registry) == 1
        registry.drain(within_s=5)
        with pytest.raises(ShuttingDown):
            await opening
        await nothing_is_left(gateway)


async def test_stopping_does_not_wait_for_ever(start: Start) -> None:
    async with start(**BY_LENGTH, drain_s=0.1) as gateway, talking(gateway) as talker:
        gateway.backend.gate.clear()
        await talker.socket.send_bytes(tone(1.5))
        await gateway.backend.requests_are(1)
        await drained(gateway.app)
        assert await talker.rest() == 1001
        spoken = len(talker.of("speech.started"))
        assert len(talker.of("final")) + len(talker.of("failed")) == spoken > 0
        await nothing_is_left(gateway)


async def test_an_interim_result_gives_way_and_is_counted(start: Start) -> None:
    settings = {"partial_interval_ms": 200, "partial_permits": 1, "partial_wait_s": 0.0}
    async with (
        start(**BY_LENGTH, **settings) as gateway,
        talking(gateway) as busy,
        talking(gateway, STREAM + SECOND + "&interim_results=true") as talker,
    ):
        gateway.backend.gate.clear()
        await busy.socket.send_bytes(tone(1.2))
        await gateway.backend.requests_are(1)
        await talker.socket.send_bytes(tone(0.3))
        await eventually(lambda: counted(gateway, "tritone_partials_total", outcome="skipped") == 1)
        gateway.backend.gate.set()
        await talker.socket.send_bytes(tone(0.3))
        await talker.until("partial")
