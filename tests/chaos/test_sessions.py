"""Hundreds of live sessions talk while everything behind them breaks: each hears its own words, and none is lost."""

import asyncio
import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from jiwer import wer

from tests.chaos.conftest import NORMALIZED, STUB, Service, until
from tests.fixtures.audio_files import TRANSCRIPTS, speech

# More of them in `make test-chaos`.
SESSIONS = int(os.environ.get("TRITONE_CHAOS_SESSIONS", "24"))
CLIPS = sorted(TRANSCRIPTS)
# What each says is a sequence of its own: of eight clips there are 512 of three.
SAID = random.Random(1).sample(list(itertools.product(CLIPS, repeat=3)), SESSIONS)
AUDIO = {name: speech(name).tobytes() for name in CLIPS}


@dataclass
class Heard:
    """What all of them were told so far."""

    finals: int = 0
    again: int = 0
    wrong: list[str] = field(default_factory=list)


async def converse(service: Service, said: tuple[str, ...], heard: Heard) -> None:
    """Says a clip, waits for its text, says the next; to the end of the session.

    What was lost twice with its model is told so, and said again, as a client would.
    """
    url = "/v1/stream?language=en&silence_ms=2000"
    async with service.http.ws_connect(url) as socket:
        for clip in said:
            while (event := await outcome(socket, clip))["type"] == "failed" and event["retryable"]:
                heard.again += 1
            heard.finals += 1
            text = event.get("text", "")
            if event["type"] != "final" or wer(NORMALIZED(TRANSCRIPTS[clip]), NORMALIZED(text)) >= 0.3:
                heard.wrong.append(f"{clip}: {event}")
                return
        await socket.send_json({"type": "close"})
        account = [message.json() async for message in socket][-1]
        if (account["type"], account["finals"], socket.close_code) != ("session.closed", 3, 1000):
            heard.wrong.append(f"{account} {socket.close_code}")


async def outcome(socket: aiohttp.ClientWebSocketResponse, clip: str) -> dict[str, Any]:
    """What is told of one clip."""
    await socket.send_bytes(AUDIO[clip])
    await socket.send_json({"type": "finalize"})
    event: dict[str, Any] = {"type": ""}
    while event["type"] not in ("final", "failed", "error"):
        event = await socket.receive_json()
    return event


@pytest.mark.timeout(600)
async def test_every_session_hears_its_own_words_through_every_fault(service: Service) -> None:
    await service.override(hang_limit_s=3)
    heard = Heard()
    async with asyncio.TaskGroup() as group:
        for said in SAID:
            group.create_task(converse(service, said, heard))
        faults: list[Callable[[], object]] = [
            lambda: service.inject("sleep"),
            lambda: service.part(STUB).kill(),
            lambda: service.part("tritonserver").kill(),
        ]
        for number, break_it in enumerate(faults):
            await until(lambda: heard.finals >= (1 + 2 * number) * SESSIONS / 2)  # noqa: B023 - awaited within the turn
            break_it()
            await until(service.away)
            await until(service.ready)
    print(f"{SESSIONS} sessions, {heard.finals} texts, {heard.again} said again, {len(heard.wrong)} wrong or lost")
    assert heard.wrong == []
    assert heard.finals == 3 * SESSIONS
    assert await service.metric("tritone_sessions ") == 0
