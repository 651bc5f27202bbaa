"""Sessions that end in every state there is leave nothing behind."""

import asyncio
import gc
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence

import psutil

from gateway.settings import Settings
from tests.fakes import FakeTranscriber
from tests.live.talking import BY_LENGTH, REALTIME, SECOND, STREAM, Talker, kill, nothing_is_left, talking, tone
from tests.serving import Gateway, listening

INTERIM = STREAM + SECOND + "&interim_results=true"
SESSIONS = 2_000
AT_ONCE = 50
SETTINGS = Settings(
    **BY_LENGTH | {"session_stall_s": 0.2},
    session_grace_s=0.2,
    partial_interval_ms=150,
    max_sessions=500,
    max_sessions_per_key=500,
    drain_s=1,
)


async def at_once(talker: Talker) -> None:
    """Leaves as soon as it is there."""


async def while_speaking(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(0.3))
    await talker.until("speech.started")


async def while_a_final_is_due(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(1.1))


async def after_a_final(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(0.3))
    await talker.say("finalize")
    await talker.until("final")


async def while_closing(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(1.1))
    await talker.say("close")


async def after_the_end(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(0.3))
    await talker.say("close")
    await talker.rest()


async def after_a_mistake(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(0.3))
    await talker.socket.send_str("?")
    await talker.until("error")


async def while_slowed(talker: Talker) -> None:
    await talker.socket.send_bytes(tone(20))


async def in_realtime(talker: Talker) -> None:
    await talker.say("input_audio_buffer.append", audio=b64encode(tone(0.6)).decode())
    await talker.until("input_audio_buffer.speech_started")


WITHOUT_AN_ANSWER = (at_once, while_speaking, while_a_final_is_due, while_closing, while_slowed)
STATES = (*WITHOUT_AN_ANSWER, after_a_final, after_the_end, after_a_mistake, in_realtime)


async def one(gateway: Gateway, number: int, state: Callable[[Talker], Awaitable[None]]) -> None:
    """Some are killed in their state, some close, some are taken over by another connection that closes."""
    url = REALTIME if state is in_realtime else INTERIM if number % 2 else STREAM + SECOND
    async with talking(gateway, url) as talker:
        await state(talker)
        if talker.socket.closed:
            return
        if number % 5 == 0 and state is while_speaking:
            started = talker.told[0]
            resume = f"?session_id={started['session_id']}&resume_token={started['resume_token']}"
            async with talking(gateway, STREAM + resume):
                pass
        elif number % 3:
            kill(talker, reset=bool(number % 2))


async def crowd(gateway: Gateway, sessions: int, states: Sequence[Callable[[Talker], Awaitable[None]]]) -> None:
    """AT_ONCE of them at any time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def next_one(number: int) -> None:
        async with places:
            await one(gateway, number, states[number % len(states)])

    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(next_one(number))


async def test_two_thousand_sessions_in_every_state_leave_nothing() -> None:
    async with listening(SETTINGS, FakeTranscriber(), within_s=300) as gateway:
        await crowd(gateway, AT_ONCE, STATES)
        await nothing_is_left(gateway)
        tasks, files = len(asyncio.all_tasks()), psutil.Process().num_fds()
        await crowd(gateway, SESSIONS, STATES)
        await nothing_is_left(gateway)
        gc.collect()
        assert len(asyncio.all_tasks()) <= tasks
        assert psutil.Process().num_fds() <= files


async def test_sessions_whose_model_does_not_answer_leave_nothing() -> None:
    backend = FakeTranscriber()
    async with listening(SETTINGS, backend, within_s=120) as gateway:
        backend.gate.clear()
        await crowd(gateway, 200, WITHOUT_AN_ANSWER)
        backend.gate.set()
        await nothing_is_left(gateway)
