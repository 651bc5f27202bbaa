"""Whatever a client sends, in whatever order: a typed error or a close code, never 1011, and nothing is left behind."""

import asyncio
import json
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import Settings
from tests.fakes import FakeTranscriber
from tests.live.talking import BY_LENGTH, REALTIME, SECOND, STREAM, kill, nothing_is_left, talking, tone
from tests.serving import listening

CLOSE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013}
SETTINGS = Settings(**BY_LENGTH | {"session_stall_s": 0.2}, session_grace_s=0.05, max_message_bytes=65_536, drain_s=1)

values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
stream_messages = st.one_of(
    st.sampled_from(["finalize", "keepalive", "reset", "close", "dance", "session.started"]).map(
        lambda kind: {"type": kind}
    ),
    st.fixed_dictionaries(
        {"type": st.just("configure")},
        optional={
            "language": st.sampled_from(["en", "de", "xx", None]),
            "sample_rate": st.sampled_from([8_000, 16_000, 48_000, 0, "16000"]),
            "encoding": st.sampled_from(["pcm16", "f32", "mulaw", "alaw", "opus", "mp3"]),
            "interim_results": st.booleans(),
            "silence_ms": st.sampled_from([300, 500, -1]),
            "max_utterance_ms": st.sampled_from([1_000, 2_000, 28_000, 10**9]),
            "text_context": st.booleans(),
            "session_id": st.text(max_size=5),
        },
    ),
    anything,
)
realtime_messages = st.one_of(
    st.sampled_from(["commit", "clear", "append", "speak"]).map(lambda kind: {"type": f"input_audio_buffer.{kind}"}),
    st.sampled_from([tone(0.3), tone(1.2), b"\1", b""]).map(
        lambda audio: {"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()}
    ),
    st.sampled_from([None, {"type": "server_vad"}, {"type": "semantic_vad"}, 3]).map(
        lambda turns: {
            "type": "session.update",
            "session": {"type": "transcription", "audio": {"input": {"turn_detection": turns}}},
        }
    ),
    anything,
)
audio = st.sampled_from([tone(0.3), tone(1.2), tone(0.1)[:-1], b"", b"OggS" + bytes(60), b"\xff" * 400, bytes(70_000)])


def steps(messages: st.SearchStrategy[object]) -> st.SearchStrategy[list[bytes | str]]:
    texts = messages.map(json.dumps) | st.text(max_size=20)
    return st.lists(audio | texts, max_size=12)


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
