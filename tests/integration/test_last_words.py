"""Whoever asked for the end gets every word that was said before it, whatever becomes of the client."""

import asyncio
import json
import signal
import sys
from urllib.parse import urlsplit

import aiohttp
import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

from tests.fixtures.audio_files import TRANSCRIPTS, joined, speech
from tests.integration.conftest import Server
from tests.live.talking import RawTalker, Talker

NAMES = ("weather", "doctor", "river")
NORMALIZED = EnglishTextNormalizer()
SPEAKS_AND_HANGS = """
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as http, http.ws_connect(sys.argv[1] + "/v1/stream?language=en") as socket:
        print((await socket.receive()).data, flush=True)
        await socket.send_bytes(sys.stdin.buffer.read())
        told = []
        while told.count("final") < 2 or told.count("speech.started") < 3:
            told.append((await socket.receive_json())["type"])
        await socket.send_json({"type": "close"})
        print("closed", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def wrong_words(finals: list[dict[str, str]]) -> float:
    said = " ".join(TRANSCRIPTS[name] for name in NAMES)
    rate: float = jiwer.wer(NORMALIZED(said), NORMALIZED(" ".join(final["text"] for final in finals)))
    return rate


async def test_a_client_that_is_terminated_after_its_close_finds_all_of_it(server: Server) -> None:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SPEAKS_AND_HANGS, server.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert client.stdin is not None
        assert client.stdout is not None
        # No pause behind the last words: only the close can bring them out.
        client.stdin.write(np.concatenate((joined(1.0, *NAMES[:2]), speech(NAMES[2]))).tobytes())
        client.stdin.write_eof()
        started = json.loads(await client.stdout.readline())
        assert await client.stdout.readline() == b"closed\n"
        client.send_signal(signal.SIGTERM)
    finally:
        await client.communicate()
    resume = f"session_id={started['session_id']}&resume_token={started['resume_token']}"
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{server.url}/v1/stream?{resume}") as socket:
        talker = Talker(socket)
        assert await talker.rest() == 1000
    finals = talker.of("final")
    assert [final["utterance"] for final in finals] == list(range(len(finals)))
    assert wrong_words(finals) <= 0.1
    assert talker.of("session.closed")


async def test_a_client_that_closes_its_half_hears_all_of_it(server: Server) -> None:
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        b"GET /v1/stream?language=en HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    raw = RawTalker(reader, writer)
    await raw.send(2, joined(1.0, *NAMES).tobytes())
    writer.write_eof()
    told, code = await raw.told()
    writer.close()
    assert code == 1000
    assert wrong_words([message for message in told if message["type"] == "final"]) <= 0.1
