import asyncio
import io
import logging
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.api.keys import LIVE
from gateway.app import drained
from gateway.core.errors import ModelFailed
from gateway.settings import Settings
from gateway.telemetry import configure_logging
from tests.live.talking import (
    BY_LENGTH,
    REALTIME,
    SECOND,
    STREAM,
    Talker,
    nothing_is_left,
    refusal,
    talking,
    talking_raw,
    tone,
)
from tests.serving import Gateway, Start

TRANSCRIPTION = "conversation.item.input_audio_transcription"
MANUAL: dict[str, Any] = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}, "turn_detection": None}}}


async def append(talker: Talker, duration_s: float) -> None:
    await talker.say("input_audio_buffer.append", audio=b64encode(tone(duration_s)).decode())


async def by_hand(talker: Talker) -> None:
    """The client commits; pcm16 at 16 kHz."""
    await talker.say("session.update", session=MANUAL)
    await talker.until("session.updated")


async def test_a_turn_that_the_client_commits(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        await append(talker, 0.5)
        await talker.say("input_audio_buffer.commit")
        completed = await talker.until(f"{TRANSCRIPTION}.completed")
        assert [event["type"] for event in talker.told] == [
            "session.created",
            "session.updated",
            "input_audio_buffer.committed",
            "conversation.item.created",
            f"{TRANSCRIPTION}.delta",
            f"{TRANSCRIPTION}.completed",
        ]
        assert (completed["transcript"], completed["usage"]["seconds"]) == ("piece 0", 0.5)
        assert len({event["event_id"] for event in talker.told}) == len(talker.told)
        await talker.socket.close()
        assert talker.socket.close_code == 1000
        await nothing_is_left(gateway)


async def test_turns_that_the_server_cuts(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        for _ in range(2):
            await append(talker, 12)
        completed = await talker.until(f"{TRANSCRIPTION}.completed")
        assert completed["item_id"] == talker.of("input_audio_buffer.speech_started")[0]["item_id"]
        assert talker.of("input_audio_buffer.speech_stopped")


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ("{", "invalid_json", None),
        ('{"event_id": "mine"}', "unknown_type", "type"),
        ('{"type": "response.create", "event_id": "mine"}', "unknown_type", "type"),
        ('{"type": "input_audio_buffer.commit", "event_id": "mine"}', "input_audio_buffer_commit_empty", None),
        ('{"type": "input_audio_buffer.append", "audio": "%%%%", "event_id": "mine"}', "invalid_parameter", "audio"),
        (
            '{"type": "session.update", "session": {"voice": 1}, "event_id": "mine"}',
            "unknown_parameter",
            "session.voice",
        ),
    ],
)
async def test_a_mistake_is_told_and_the_session_goes_on(
    start: Start, event: str, code: str, param: str | None
) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        await talker.socket.send_str(event)
        error = (await talker.until("error"))["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert error["event_id"] == ("mine" if "mine" in event else None)
        await append(talker, 0.5)
        await talker.say("input_audio_buffer.commit")
        await talker.until(f"{TRANSCRIPTION}.completed")


async def test_binary_messages_and_halves_of_samples_are_mistakes_too(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        await talker.socket.send_bytes(tone(0.1))
        assert (await talker.until("error"))["error"]["code"] == "binary_message"
        await talker.say("input_audio_buffer.append", audio=b64encode(tone(0.2) + b"\0").decode())
        await talker.say("input_audio_buffer.commit")
        assert (await talker.until("error"))["error"]["code"] == "invalid_audio"
        await talker.say("input_audio_buffer.commit")
        await talker.until(f"{TRANSCRIPTION}.completed")


async def test_what_was_committed_before_a_message_that_is_too_big_is_completed(start: Start) -> None:
    async with start(**BY_LENGTH, max_message_bytes=65_536) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        await append(talker, 0.5)
        await talker.say("input_audio_buffer.commit")
        await append(talker, 2)
        assert await talker.rest() == 1009
        assert [event["type"] for event in talker.told][-2:] == [f"{TRANSCRIPTION}.completed", "error"]
        assert talker.told[-1]["error"]["code"] == "message_too_big"
        await nothing_is_left(gateway)


async def test_half_a_minute_may_come_in_one_event(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        rate = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 48_000}, "turn_detection": None}}}
        await talker.say("session.update", session=rate)
        # 10 s at 48 kHz are as many bytes as 30 s at 16 kHz.
        await append(talker, 30)
        await talker.say("input_audio_buffer.commit")
        completed = await talker.until(f"{TRANSCRIPTION}.completed")
        assert completed["usage"]["seconds"] == 10


async def test_a_client_that_waits_for_its_turn_is_not_idle(start: Start) -> None:
    async with start(**BY_LENGTH, session_idle_s=0.1) as gateway, talking(gateway, REALTIME) as talker:
        # A session whose silence counts ends within the time that this one is there.
        async with talking(gateway) as another:
            assert await another.rest() == 1008
        await by_hand(talker)
        session = talker.of("session.created")[0]["session"]
        assert (session["object"], session["id"]) == ("realtime.transcription_session", live_ids(gateway)[0])


def live_ids(gateway: Gateway) -> list[str]:
    return [live.identity.id for live in gateway.app[LIVE].sessions]


async def test_a_format_that_is_refused_changes_nothing(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        await talker.say("input_audio_buffer.append", audio=b64encode(tone(0.2) + b"\0").decode())
        await talker.say(
            "session.update", session={"audio": {"input": {"format": {"type": "audio/pcm", "rate": 48000}}}}
        )
        assert (await talker.until("error"))["error"]["code"] == "invalid_audio"
        await append(talker, 0.5)
        await talker.say("input_audio_buffer.commit")
        assert (await talker.until(f"{TRANSCRIPTION}.completed"))["usage"]["seconds"] == 0.7


async def test_what_is_cleared_was_never_said(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        await append(talker, 0.5)
        await talker.say("input_audio_buffer.clear")
        await talker.until("input_audio_buffer.cleared")
        await talker.say("input_audio_buffer.commit")
        assert (await talker.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"


async def test_a_client_that_reads_may_say_much_at_once(start: Start) -> None:
    async with start(**BY_LENGTH, outbox_messages=64) as gateway, talking(gateway, REALTIME) as talker:
        for _ in range(300):
            await talker.say("input_audio_buffer.clear")
        for _ in range(300):
            await talker.until("input_audio_buffer.cleared")


async def test_every_committed_item_ends(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        await by_hand(talker)
        for error in (ModelFailed("odd"), None):
            gateway.backend.error = error
            await append(talker, 0.5)
            await talker.say("input_audio_buffer.commit")
            await talker.until(f"{TRANSCRIPTION}.{'failed' if error else 'completed'}")
        committed = [event["item_id"] for event in talker.of("input_audio_buffer.committed")]
        failed, completed = talker.of(f"{TRANSCRIPTION}.failed"), talker.of(f"{TRANSCRIPTION}.completed")
        assert committed == [failed[0]["item_id"], completed[0]["item_id"]]
        assert failed[0]["error"]["code"] == "model_failed"


async def test_a_close_frame_is_answered_after_the_last_item(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking_raw(gateway, REALTIME) as raw:
        audio = b64encode(tone(0.5)).decode()
        await raw.send(1, f'{{"type": "input_audio_buffer.append", "audio": "{audio}"}}'.encode())
        await raw.send(8, (1000).to_bytes(2, "big"))
        told, code = await raw.told()
        assert (told[-1]["type"], code) == (f"{TRANSCRIPTION}.completed", 1000)
        await nothing_is_left(gateway)


async def test_a_session_ends_with_its_connection(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        async with talking_raw(gateway, REALTIME) as raw:
            audio = b64encode(tone(0.5)).decode()
            await raw.send(1, f'{{"type": "input_audio_buffer.append", "audio": "{audio}"}}'.encode())
            await raw.receive()
        await nothing_is_left(gateway)


async def test_stopping_ends_it_with_1001(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        stopping = asyncio.create_task(drained(gateway.app))
        assert await talker.rest() == 1001
        await stopping


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "unsupported_parameter"),
        ("?intent=conversation", "unsupported_parameter"),
        ("?intent=transcription&model=gpt-9", "model_not_found"),
        ("?intent=transcription&x=1", "unknown_parameter"),
    ],
)
async def test_what_it_can_not_do_is_an_http_answer(gateway: Gateway, query: str, code: str) -> None:
    _, error, _ = await refusal(gateway, "/v1/realtime" + query)
    assert error["code"] == code


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as the service writes it."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_a_browser_offers_its_key_as_a_subprotocol(log: io.StringIO, gateway: Gateway) -> None:
    offered = ("realtime", "openai-insecure-api-key.sk-1")
    async with gateway.client.ws_connect(REALTIME, protocols=offered) as socket:
        assert socket.protocol == "realtime"
    async with gateway.client.ws_connect(STREAM + SECOND, protocols=offered[1:]) as socket:
        assert socket.protocol is None
    assert "/v1/realtime" in log.getvalue()
    assert "sk-1" not in log.getvalue()
