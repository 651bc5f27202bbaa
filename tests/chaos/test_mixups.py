"""Hundreds of people talk to the real service at once, each in words of their own; some are killed on the way."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator

import aiohttp
import jiwer
import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from tests.fixtures.audio_files import TRANSCRIPTS, joined
from tests.integration.conftest import Server, running
from tests.live.talking import Talker, kill

SESSIONS = int(os.environ.get("TRITONE_CHAOS_SPEAKERS", "240"))
AT_ONCE = 60
CLIPS = ("weather", "doctor", "river", "kitchen", "letter")
PIECE_BYTES = 16_000
NORMALIZED = EnglishTextNormalizer()
SAID = {name: NORMALIZED(TRANSCRIPTS[name]) for name in CLIPS}
AUDIO = {name: joined(0.3, name).astype(np.int32) for name in CLIPS}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(max_sessions=SESSIONS, max_sessions_per_key=SESSIONS, session_grace_s=0.5, drain_s=5) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as client:
        yield client


def clip_of(text: str) -> str:
    """Whose words these are."""
    normalized = NORMALIZED(text)
    return min(CLIPS, key=lambda name: jiwer.wer(SAID[name], normalized))


async def one(client: aiohttp.ClientSession, number: int) -> str:
    """How it went: killed, refused or heard."""
    chance = random.Random(number)
    name, language = CLIPS[number % len(CLIPS)], "fr" if number % 7 == 0 else "en"
    audio = (AUDIO[name] * chance.randint(50, 100) // 100).astype(np.int16).tobytes()
    pieces = [audio[at : at + PIECE_BYTES] for at in range(0, len(audio), PIECE_BYTES)]
    dies_at = chance.randrange(len(pieces) + 1) if number % 4 == 0 else None
    query = (
        f"session_id=mine-{number}&language={language}&prompt=Call {number}.&interim_results={number % 5 == 0}".lower()
    )
    async with client.ws_connect(f"/v1/stream?{query}") as socket:
        talker = Talker(socket)
        for at, piece in enumerate(pieces):
            if at == dies_at:
                break
            await socket.send_bytes(piece)
        if dies_at is None:
            await talker.say("close")
            assert await talker.rest() == 1000
        else:
            kill(talker, reset=chance.random() < 0.5)
            await talker.rest()
    started = talker.of("session.started")
    assert [each["session_id"] for each in started] == [f"mine-{number}"] * len(started)
    outcomes = [*talker.of("final"), *talker.of("failed")]
    assert sorted(outcome["utterance"] for outcome in outcomes) == list(range(len(outcomes)))
    if language == "fr":
        assert {outcome["code"] for outcome in outcomes} <= {"unsupported_language"}
    else:
        assert not talker.of("failed")
    text = " ".join(final["text"] for final in talker.of("final"))
    if dies_at is not None:
        return "killed"
    if language == "fr":
        assert outcomes
        return "refused"
    assert clip_of(text) == name, (number, name, text)
    return "heard"


@pytest.mark.timeout(300)
async def test_nobody_hears_the_words_of_another(client: aiohttp.ClientSession) -> None:
    places = asyncio.Semaphore(AT_ONCE)
    went: list[str] = []

    async def next_one(number: int) -> None:
        async with places:
            went.append(await one(client, number))

    async with asyncio.TaskGroup() as group:
        for number in range(SESSIONS):
            group.create_task(next_one(number))
    assert went.count("killed") == SESSIONS // 4
    assert went.count("heard") > SESSIONS // 2
    assert went.count("refused") > SESSIONS // 12
