"""Whose missing pong ends a connection, and how."""

import asyncio
from contextlib import suppress

import pytest

from gateway.api.keys import OPEN_REQUESTS
from tests.live.talking import BY_LENGTH, PING, REALTIME, SECOND, STREAM, nothing_is_left, talking_raw, tone
from tests.serving import Start, eventually

PINGED = BY_LENGTH | {"heartbeat_s": 0.1}


async def test_what_is_owed_is_told_however_late_after_a_message_that_can_not_be_read(start: Start) -> None:
    async with start(**PINGED, max_message_bytes=65_536) as gateway, talking_raw(gateway) as raw:
        gateway.backend.gate.clear()
        await raw.send(2, tone(0.5))
        await raw.send(2, bytes(70_000))
        await gateway.backend.requests_are(1)
        await raw.pings(3)
        gateway.backend.gate.set()
        told, code = await raw.told()
        assert (code, raw.close_reason) == (1009, "message_too_big")
        assert [message["type"] for message in told] == ["final", "error", "session.closed"]
        await nothing_is_left(gateway)


async def test_who_is_not_read_from_is_not_blamed_for_its_pongs(start: Start) -> None:
    async with (
        start(**PINGED, max_session_audio_ms=16_000, session_grace_s=0.1) as gateway,
        talking_raw(gateway) as raw,
    ):
        gateway.backend.gate.clear()

        async def talk() -> None:
            for _ in range(20):
                await raw.send(2, tone(3))
            await raw.send(1, b'{"type": "close"}')

        async with asyncio.TaskGroup() as group:
            group.create_task(talk())
            await raw.pings(3)
            gateway.backend.gate.set()
            told, code = await raw.told()
        assert code == 1000
        assert (told[-1]["audio_ms"], told[-1]["dropped_ms"]) == (60_000, 0)
        await nothing_is_left(gateway)


@pytest.mark.parametrize("url", [REALTIME, STREAM + SECOND])
async def test_a_flood_of_pings_whose_pongs_nobody_reads_holds_no_session(start: Start, url: str) -> None:
    async with start(**PINGED) as gateway, talking_raw(gateway, url) as raw:

        async def flood() -> None:
            with suppress(ConnectionError):
                while True:
                    await raw.send(PING, bytes(125))

        assert gateway.app[OPEN_REQUESTS].count == 1
        flooding = asyncio.create_task(flood())
        await nothing_is_left(gateway)
        await eventually(lambda: gateway.app[OPEN_REQUESTS].count == 0)
        flooding.cancel()
