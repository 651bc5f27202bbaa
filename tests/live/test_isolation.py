"""Many sessions at once, each with audio, a prompt and a language of its own, and clients that are killed."""

import asyncio
import random
from typing import Any

import numpy as np

from gateway.core.audio import DecodeOptions, Samples, Transcript
from gateway.settings import Settings
from tests.fakes import FakeTranscriber, transcript
from tests.live.talking import BY_LENGTH, STREAM, kill, nothing_is_left, talking
from tests.serving import Gateway, listening

SESSIONS = 500
AT_ONCE = 60
LANGUAGES = ("en", "de", "fr", "es")


class Witness(FakeTranscriber):
    """Says what it was given: the loudness, the prompt, the language; after a while of its own."""

    async def transcribe(self, samples: Samples, options: DecodeOptions, **how: Any) -> Transcript:
        await asyncio.sleep(random.random() / 100)
        return transcript(f"{np.abs(samples).max()} {options.prompt} {options.language}")


def wave(level: int, duration_s: float) -> bytes:
    signs = np.where(np.arange(int(duration_s * 16_000)) // 20 % 2, 1, -1)
    return bytes((signs * level).astype("<i2").tobytes())


async def one(gateway: Gateway, number: int) -> int:
    """The number of finals that were heard."""
    level, language = 2_000 + 10 * number, LANGUAGES[number % len(LANGUAGES)]
    query = f"?max_utterance_ms=1000&silence_ms=300&prompt=p{number}&language={language}&interim_results=true"
    async with talking(gateway, STREAM + query) as talker:
        for piece in range(random.randint(2, 6)):
            await talker.socket.send_bytes(wave(level, random.choice([0.2, 0.5, 0.9])))
            if piece > 2 and number % 4 == 0:
                kill(talker, reset=number % 8 == 0)
                break
        else:
            await talker.say("close")
            await talker.rest()
    told = [*talker.of("final"), *talker.of("partial")]
    # A prompt has the words of the sentence before as well: they too are this session's own.
    assert {word for message in told for word in message["text"].split()} <= {str(level), f"p{number}", language}
    assert [final["utterance"] for final in talker.of("final")] == list(range(len(talker.of("final"))))
    return len(talker.of("final"))


async def test_no_session_hears_of_another() -> None:
    settings = Settings(
        **BY_LENGTH | {"session_stall_s": 0.2},
        session_grace_s=0.1,
        partial_interval_ms=150,
        max_sessions_per_key=SESSIONS,
        max_sessions=SESSIONS,
        drain_s=1,
    )
    places = asyncio.Semaphore(AT_ONCE)
    heard: list[int] = []

    async def next_one(number: int) -> None:
        async with places:
            heard.append(await one(gateway, number))

    async with listening(settings, Witness(), within_s=120) as gateway:
        async with asyncio.TaskGroup() as group:
            for number in range(SESSIONS):
                group.create_task(next_one(number))
        await nothing_is_left(gateway)
    assert sum(heard) > SESSIONS
