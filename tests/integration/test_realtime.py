import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np
import openai
import pytest
import soxr
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeTranscriptionSessionCreateRequestParam

from tests.fixtures.audio_files import joined
from tests.integration.conftest import Server
from tests.integration.test_stream import wrong_words

RATE_HZ: Final = 24_000
PIECE_BYTES = 4_800
TRANSCRIPTION = "conversation.item.input_audio_transcription"


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[AsyncRealtimeConnection]:
    """OpenAI's own realtime client, as its documentation shows it for transcription."""
    async with (
        openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        yield connection


def spoken(*names: str) -> bytes:
    """Clips with pauses, as pcm16 at 24 kHz."""
    samples = soxr.resample(joined(1.0, *names).astype(np.float32), 16_000, RATE_HZ)
    return bytes(np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes())


async def append(connection: AsyncRealtimeConnection, audio: bytes) -> None:
    for at in range(0, len(audio), PIECE_BYTES):
        await connection.input_audio_buffer.append(audio=b64encode(audio[at : at + PIECE_BYTES]).decode())


async def until(connection: AsyncRealtimeConnection, kind: str, count: int = 1) -> list[Any]:
    """Every event up to the `count`th of a type."""
    events: list[Any] = []
    async with asyncio.timeout(60):
        while sum(event.type == kind for event in events) < count:
            events.append(await connection.recv())
    return events


async def test_the_sdk_transcribes_turns_that_the_server_cuts(connection: AsyncRealtimeConnection) -> None:
    session: RealtimeTranscriptionSessionCreateRequestParam = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": RATE_HZ},
                "transcription": {"model": "whisper-1", "language": "en"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 500},
            }
        },
    }
    await connection.session.update(session=session)
    async with asyncio.TaskGroup() as group:
        group.create_task(append(connection, spoken("letter", "market")))
        events = await until(connection, f"{TRANSCRIPTION}.completed", 2)
    assert [event.type for event in events][:2] == ["session.created", "session.updated"]
    completed = [event for event in events if event.type == f"{TRANSCRIPTION}.completed"]
    for event, name in zip(completed, ("letter", "market"), strict=True):
        assert wrong_words([name], event.transcript) <= 0.1
        deltas = [other.delta for other in events if other.type == f"{TRANSCRIPTION}.delta"]
        assert deltas
    committed = [event for event in events if event.type == "input_audio_buffer.committed"]
    assert [event.item_id for event in committed] == [event.item_id for event in completed]
    assert committed[1].previous_item_id == committed[0].item_id


async def test_the_sdk_commits_a_turn_itself(connection: AsyncRealtimeConnection) -> None:
    session: RealtimeTranscriptionSessionCreateRequestParam = {
        "type": "transcription",
        "audio": {"input": {"turn_detection": None}},
    }
    await connection.session.update(session=session)
    await append(connection, spoken("doctor"))
    await connection.input_audio_buffer.commit()
    events = await until(connection, f"{TRANSCRIPTION}.completed")
    assert wrong_words(["doctor"], events[-1].transcript) <= 0.1
    joined_deltas = "".join(event.delta for event in events if event.type == f"{TRANSCRIPTION}.delta")
    assert events[-1].transcript.startswith(joined_deltas[:10])


async def test_a_mistake_is_an_event_to_the_sdk(connection: AsyncRealtimeConnection) -> None:
    await connection.response.create()
    events = await until(connection, "error")
    assert events[-1].error.code == "unknown_type"
