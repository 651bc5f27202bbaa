import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import aiohttp
import jiwer
import numpy as np
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from tests.fixtures.audio_files import TRANSCRIPTS, joined, speech, wav_bytes
from tests.fixtures.live_audio import browser_pieces, file_of, ogg_stream, opus, webm_stream
from tests.integration.conftest import Server, running
from tests.live.talking import Talker
from tests.serving import form

NAMES = sorted(TRANSCRIPTS)
STREAMS = 16
PAUSE_S = 1.0
NORMALIZED = EnglishTextNormalizer()


def wrong_words(names: Sequence[str], text: str) -> float:
    """The share of words that are wrong."""
    said = " ".join(TRANSCRIPTS[name] for name in names)
    rate: float = jiwer.wer(NORMALIZED(said), NORMALIZED(text))
    return rate


def text_of(talker: Talker) -> str:
    return " ".join(final["text"] for final in talker.of("final"))


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as client:
        yield client


async def heard(client: aiohttp.ClientSession, query: str, pieces: Sequence[bytes]) -> Talker:
    """Sends it all as fast as it is taken, closes, and hears everything."""
    async with client.ws_connect(f"/v1/stream?{query}") as socket:
        talker = Talker(socket)

        async def speak() -> None:
            for piece in pieces:
                await socket.send_bytes(piece)
            await talker.say("close")

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            assert await talker.rest() == 1000
    return talker


def pieces_of(data: bytes, piece_bytes: int = 3_200) -> list[bytes]:
    return [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]


async def test_sixteen_streams_get_their_own_words_in_order(client: aiohttp.ClientSession) -> None:
    orders = [[NAMES[(number + step) % len(NAMES)] for step in range(2)] for number in range(STREAMS)]

    async def one(names: list[str]) -> None:
        pieces = pieces_of(joined(PAUSE_S, *names).tobytes())
        talker = await heard(client, "interim_results=true&word_timestamps=true", pieces)
        finals = talker.of("final")
        assert wrong_words(names, text_of(talker)) <= 0.1
        assert [final["utterance"] for final in finals] == list(range(len(finals)))
        edges_ms = [edge for final in finals for edge in (final["start_ms"], final["end_ms"])]
        assert edges_ms == sorted(edges_ms)
        for final in finals:
            assert all(final["start_ms"] <= word["start_ms"] <= final["end_ms"] for word in final["words"])

    async with asyncio.TaskGroup() as group:
        for names in orders:
            group.create_task(one(names))


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("encoding=opus", webm_stream(opus(joined(PAUSE_S, "letter")))),
        ("encoding=opus", ogg_stream(opus(joined(PAUSE_S, "letter")))),
        ("encoding=opus", file_of(joined(PAUSE_S, "letter"), "webm", live="1")),
        ("encoding=f32", (joined(PAUSE_S, "letter") / 32_768).astype("<f4").tobytes()),
        ("sample_rate=48000", np.repeat(joined(PAUSE_S, "letter"), 3).tobytes()),
    ],
)
async def test_every_encoding_says_the_same(client: aiohttp.ClientSession, query: str, data: bytes) -> None:
    talker = await heard(client, query, pieces_of(data, 1_000))
    assert wrong_words(["letter"], text_of(talker)) <= 0.1


async def test_what_a_browsers_media_recorder_sends_is_heard(client: aiohttp.ClientSession) -> None:
    talker = await heard(client, "encoding=opus&interim_results=true", browser_pieces("chromium"))
    assert wrong_words(["train"], text_of(talker)) <= 0.1


async def test_sileros_network_can_cut_instead(server: Server) -> None:
    with running("serve", triton=server.triton, stream_vad="silero", file_vad="silero") as silero:
        async with aiohttp.ClientSession(silero.url) as client:
            talker = await heard(client, "", pieces_of(joined(PAUSE_S, "letter", "market").tobytes()))
            data = form(wav_bytes(joined(PAUSE_S, "letter", "market")))
            async with client.post("/v1/audio/transcriptions", data=data) as answer:
                text = (await answer.json())["text"]
    assert len(talker.of("final")) == 2
    assert wrong_words(["letter", "market"], text_of(talker)) <= 0.1
    assert wrong_words(["letter", "market"], text) <= 0.1


@pytest.mark.parametrize("end", ["close", "finalize"])
async def test_last_words_without_a_pause_behind_them_are_heard(client: aiohttp.ClientSession, end: str) -> None:
    async with client.ws_connect("/v1/stream?max_utterance_ms=28000") as socket:
        talker = Talker(socket)
        for piece in pieces_of(speech("doctor").tobytes()):
            await socket.send_bytes(piece)
        await talker.say(end)
        if end == "finalize":
            await talker.until("final")
            await talker.say("close")
        await talker.rest()
    assert wrong_words(["doctor"], text_of(talker)) <= 0.1


async def test_interim_results_lead_to_the_final(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect("/v1/stream?interim_results=true") as socket:
        talker = Talker(socket)
        pieces = pieces_of(speech("library").tobytes(), 3 * SAMPLE_RATE_HZ)
        for piece in pieces[:2]:
            await socket.send_bytes(piece)
            await talker.until("partial")
        for piece in pieces[2:]:
            await socket.send_bytes(piece)
        await talker.say("close")
        await talker.rest()
    stable = [partial["stable_text"] for partial in talker.of("partial") if partial["utterance"] == 0]
    assert stable
    assert all(later.startswith(earlier) for earlier, later in pairwise(stable))


async def test_a_connection_that_broke_loses_no_words(client: aiohttp.ClientSession) -> None:
    audio: Samples = joined(PAUSE_S, "letter", "market")
    half = len(speech("letter")) // 2
    async with client.ws_connect("/v1/stream") as socket:
        first = Talker(socket)
        await socket.send_bytes(audio[:half].tobytes())
        started = await first.until("session.started")
        await first.until("speech.started")
        connection = socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
    resume = f"session_id={started['session_id']}&resume_token={started['resume_token']}"
    async with client.ws_connect(f"/v1/stream?{resume}") as socket:
        second = Talker(socket)
        again = await second.until("session.started")
        for piece in pieces_of(audio[again["received_until_ms"] * SAMPLE_RATE_HZ // 1000 :].tobytes()):
            await socket.send_bytes(piece)
        await second.say("close")
        assert await second.rest() == 1000
    assert wrong_words(["letter", "market"], text_of(second)) <= 0.1


async def test_an_english_model_refuses_another_language_and_lives_on(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect("/v1/stream?language=fr") as socket:
        talker = Talker(socket)
        await socket.send_bytes(speech("letter").tobytes())
        await talker.say("finalize")
        assert (await talker.until("failed"))["code"] == "unsupported_language"
        await talker.say("configure", language="en")
        await socket.send_bytes(speech("letter").tobytes())
        await talker.say("close")
        await talker.rest()
    assert wrong_words(["letter"], text_of(talker)) <= 0.1
