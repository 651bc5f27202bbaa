"""The older service's door through the whole of it, with real speech."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jiwer
import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from tests.fixtures.audio_files import TRANSCRIPTS, encode, joined, silence, speech, speech_file
from tests.fixtures.live_audio import opus, prefixed
from tests.integration.conftest import Server

NORMALIZED = EnglishTextNormalizer()
NAMES = sorted(TRANSCRIPTS)


def wrong_words(text: str, *names: str) -> float:
    rate: float = jiwer.wer(NORMALIZED(" ".join(TRANSCRIPTS[name] for name in names)), NORMALIZED(text))
    return rate


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as client:
        yield client


async def say(client: aiohttp.ClientSession, audio: bytes | Samples, **fields: Any) -> tuple[int, dict[str, Any]]:
    data = audio if isinstance(audio, bytes) else audio.tobytes()
    body = {"audio": base64.b64encode(data).decode(), **fields}
    async with client.post("/utterance", json=body) as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize(
    ("audio_format", "audio"),
    [
        ("pcm16", speech("letter").tobytes()),
        ("opus", prefixed(opus(speech("letter")).packets)),
        ("flac", speech_file("letter").read_bytes()),
        ("webm", encode(speech("letter"), "webm", "libopus", 48_000)),
        ("m4a", encode(speech("letter"), "mp4", "aac", 48_000)),
    ],
)
async def test_every_format_says_the_same(client: aiohttp.ClientSession, audio_format: str, audio: bytes) -> None:
    status, answer = await say(client, audio, audio_format=audio_format, src_lang="auto")
    assert status == 200
    assert wrong_words(answer["text"], "letter") <= 0.1
    assert (answer["language"], answer["language_probabilities"]) == ("en", {"en": 1.0})
    assert answer["duration"] == pytest.approx(len(speech("letter")) / SAMPLE_RATE_HZ, abs=0.1)


async def test_longer_audio_than_a_window_is_answered_whole_and_on_its_own_clock(client: aiohttp.ClientSession) -> None:
    before_s = 3.0
    names = [name for name in NAMES for _ in range(2)][:10]
    spoken = joined(0.8, *names)
    samples = np.concatenate((silence(before_s), spoken))
    assert len(samples) > 40 * SAMPLE_RATE_HZ
    status, answer = await say(client, samples, word_timestamps=True, padding_ms=200)
    assert status == 200
    assert wrong_words(answer["text"], *names) <= 0.1
    spans = answer["vad_segments"]
    assert before_s - 0.3 <= spans[0][0] / SAMPLE_RATE_HZ <= before_s + 0.3
    assert spans == sorted(spans)
    assert spans[-1][1] <= len(samples)
    words = [word for segment in answer["segments"] for word in segment["words"]]
    assert [word["start"] for word in words] == sorted(word["start"] for word in words)
    assert words[0]["start"] >= before_s - 0.3
    assert len(samples) / SAMPLE_RATE_HZ - 3 <= words[-1]["end"] <= answer["duration"]


async def test_a_session_goes_on_where_it_was(client: aiohttp.ClientSession) -> None:
    for name in NAMES[:4]:
        status, answer = await say(client, speech(name), session_id="goes-on", patience=2.0, beam_size=2)
        assert status == 200
        # What was put in front is taken out again: nothing of the one before is in the text.
        assert wrong_words(answer["text"], name) <= 0.2
    async with client.post("/reset", json={"session_id": "goes-on"}) as reply:
        assert reply.status == 200


async def test_many_callers_get_their_own_words(client: aiohttp.ClientSession) -> None:
    async def one(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        status, answer = await say(client, speech(name), session_id=f"own-{number}", job_id=f"job-{number}")
        assert (status, answer["job_id"]) == (200, f"job-{number}")
        assert wrong_words(answer["text"], name) <= 0.15

    async with asyncio.TaskGroup() as group:
        for number in range(24):
            group.create_task(one(number))


async def test_what_an_english_model_cant_do_is_refused(client: aiohttp.ClientSession) -> None:
    status, answer = await say(client, speech("letter"), src_lang="fr")
    assert (status, answer["error"]["code"]) == (400, "unsupported_language")
    status, answer = await say(client, speech("letter"), task="translate")
    assert (status, answer["error"]["code"]) == (400, "unsupported_parameter")


async def test_where_nobody_speaks_there_is_no_text_and_no_segment(client: aiohttp.ClientSession) -> None:
    status, answer = await say(client, silence(3))
    assert (status, answer["text"], answer["vad_segments"]) == (200, "", [])


async def test_health_is_that_of_the_model(client: aiohttp.ClientSession) -> None:
    async with client.get("/health") as reply:
        told = await reply.json()
    assert (reply.status, told["status"], told["models"]) == (200, "ok", {"tiny.en": "ok"})
    assert told["checks"]["triton"] == "ok"
