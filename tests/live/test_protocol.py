"""Whatever a client sends, in whatever order: a typed error or a close code, never 1011, and nothing is left behind."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import Settings
from tests.fakes import FakeTranscriber
from tests.live.talking import BY_LENGTH, REALTIME, SECOND, STREAM, kill, nothing_is_left, talking
from tests.malformed.cases import realtime_messages, steps, stream_messages
from tests.serving import listening

CLOSE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013}
SETTINGS = Settings(**BY_LENGTH | {"session_stall_s": 0.2}, session_grace_s=0.05, max_message_bytes=65_536, drain_s=1)


async def play(url: str, said: list[bytes | str], *, leaves: bool) -> None:
    async with listening(SETTINGS, FakeTranscriber()) as gateway:
        async with talking(gateway, url) as talker:
            try:
                for one in said:
                    await (talker.socket.send_bytes(one) if isinstance(one, bytes) else talker.socket.send_str(one))
            except ConnectionError:
                pass  # closed by the server already
            if leaves and not talker.socket.closed:
                kill(talker)
            else:
                await asyncio.gather(talker.rest(), talker.socket.close())
                assert talker.socket.close_code in CLOSE_CODES
        await nothing_is_left(gateway)


@pytest.mark.parametrize(("url", "messages"), [(STREAM + SECOND, stream_messages), (REALTIME, realtime_messages)])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_order_of_messages_is_a_bug(url: str, messages: st.SearchStrategy[object], data: st.DataObject) -> None:
    asyncio.run(play(url, data.draw(steps(messages)), leaves=data.draw(st.booleans())))
