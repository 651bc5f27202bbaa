import asyncio
import time

import pytest

from gateway.api.keys import FLEET, LIVE
from gateway.app import drained
from gateway.core.errors import IdleTimeout
from gateway.core.recovery import Sign
from tests.fakes import FakeTranscriber
from tests.live.talking import (
    BY_LENGTH,
    SECOND,
    STREAM,
    Talker,
    kill,
    nothing_is_left,
    refusal,
    talking,
    talking_raw,
    tone,
)
from tests.serving import Gateway, Start, eventually


def again(talker: Talker, last_utterance: int | None = None) -> str:
    """Where a client comes back to."""
    started = talker.of("session.started")[0]
    last = "" if last_utterance is None else f"&last_utterance={last_utterance}"
    return f"{STREAM}?session_id={started['session_id']}&resume_token={started['resume_token']}{last}"


async def break_off(gateway: Gateway, talker: Talker) -> None:
    """The connection is gone without a word, and the server has noticed."""
    kill(talker, reset=True)
    live = next(iter(gateway.app[LIVE].sessions))
    await eventually(lambda: not live.attached)


async def test_what_was_missed_is_told_and_the_session_goes_on(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        gateway.backend.gate.clear()
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(1.95))
            live = next(iter(gateway.app[LIVE].sessions))
            await eventually(lambda: live.account.audio_ms == 1950)
            await break_off(gateway, first)
        gateway.backend.gate.set()
        await eventually(lambda: live.account.finals == 2)
        async with talking(gateway, again(first)) as second:
            assert second.told[0]["received_until_ms"] == 1950
            assert second.told[0]["resume_token"] == first.told[0]["resume_token"]
            await second.socket.send_bytes(tone(1.0))
            await second.say("close")
            assert await second.rest() == 1000
        assert [final["utterance"] for final in second.of("final")] == [0, 1, 2, 3]
        assert second.told[-1]["audio_ms"] == 2950
        await nothing_is_left(gateway)


async def test_what_the_client_has_is_not_told_again(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(1.95))
            await first.until("final")
            await first.until("final")
            await break_off(gateway, first)
        async with talking(gateway, again(first, 0)) as second:
            await second.say("close")
            await second.rest()
            assert [final["utterance"] for final in second.of("final")] == [1, 2]


async def test_the_encoding_is_that_of_the_session(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        async with talking(gateway, STREAM + SECOND + "&encoding=mulaw&sample_rate=8000") as first:
            await first.socket.send_bytes(bytes(4000))
            await first.say("finalize")
            await first.until("final")
            await break_off(gateway, first)
        async with talking(gateway, again(first, 0)) as second:
            assert second.told[0]["received_until_ms"] == 500
            await second.socket.send_bytes(bytes(4000))
            await second.say("close")
            await second.rest()
            assert second.told[-1]["audio_ms"] == 1000


async def test_a_first_message_may_resume(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(0.5))
            await first.until("speech.started")
            await break_off(gateway, first)
        async with gateway.client.ws_connect(STREAM) as connected:
            second = Talker(connected)
            started = first.told[0]
            names = {name: started[name] for name in ("session_id", "resume_token")}
            await second.say("configure", **names)
            assert (await second.until("session.started"))["received_until_ms"] == 500
            await second.say("close")
            assert await second.rest() == 1000
        await nothing_is_left(gateway)


async def test_other_options_than_the_session_s_are_refused(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as first:
        await first.socket.send_bytes(tone(0.5))
        await first.until("speech.started")
        async with talking(gateway, again(first) + "&encoding=mulaw") as second:
            assert await second.rest() == 1008
        async with talking(gateway, again(first) + "&silence_ms=300") as third:
            assert third.told[0]["type"] == "session.started"


async def test_what_was_missed_is_told_although_the_model_is_away(start: Start) -> None:
    backend = FakeTranscriber()
    async with start(backend, **BY_LENGTH) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(1.95))
            await first.until("final")
            await break_off(gateway, first)
        backend.sign = Sign.UNREACHABLE
        await eventually(lambda: gateway.app[FLEET].problem is not None)
        assert (await refusal(gateway))[0] == 503
        async with talking(gateway, again(first)) as second:
            assert second.told[0]["type"] == "session.started"
            assert (await second.until("final"))["utterance"] == 0


async def test_who_is_away_is_not_idle(start: Start) -> None:
    async with start(**BY_LENGTH, session_idle_s=0.5, session_grace_s=60) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(0.5))
            await first.until("speech.started")
            await break_off(gateway, first)
        (live,) = gateway.app[LIVE].sessions
        live._session._active_at_s -= 60
        live._tick(time.monotonic())
        assert live.listens


async def test_a_wrong_token_is_refused_and_harms_nobody(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        session_id = talker.told[0]["session_id"]
        status, error, _ = await refusal(gateway, f"{STREAM}?session_id={session_id}&resume_token=guessed")
        assert (status, error["code"]) == (401, "invalid_resume_token")
        async with gateway.client.ws_connect(STREAM) as connected:
            thief = Talker(connected)
            await thief.say("configure", session_id=session_id, resume_token="guessed")
            assert await thief.rest() == 1008
            assert thief.told[0]["code"] == "invalid_resume_token"
        await talker.say("close")
        assert await talker.rest() == 1000
        await nothing_is_left(gateway)


async def test_an_utterance_that_was_never_told_of_is_refused(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        async with talking(gateway, again(talker, 9)) as second:
            assert await second.rest() == 1008
            assert second.told[0]["param"] == "last_utterance"
        await talker.say("close")
        assert await talker.rest() == 1000


async def test_who_comes_back_before_the_loss_was_noticed_takes_the_session_over(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as first:
        await first.socket.send_bytes(tone(0.5))
        await first.until("speech.started")
        async with talking(gateway, again(first)) as second:
            assert await first.rest() == 1001
            await second.socket.send_bytes(tone(0.25))
            await second.say("close")
            assert await second.rest() == 1000
            assert second.told[-1]["audio_ms"] == 750
        await nothing_is_left(gateway)


async def test_audio_of_a_connection_that_lost_the_session_is_not_taken(start: Start) -> None:
    async with start(**BY_LENGTH, max_session_audio_ms=16_000) as gateway, talking(gateway) as first:
        gateway.backend.gate.clear()
        await first.socket.send_bytes(tone(30))
        while (await first.until("backpressure"))["action"] != "pause":
            pass
        async with talking(gateway, again(first)) as second:
            until_ms = second.told[0]["received_until_ms"]
            gateway.backend.gate.set()
            await second.say("close")
            assert await second.rest() == 1000
            assert second.told[-1]["audio_ms"] == until_ms < 30_000


@pytest.mark.parametrize("reset", [False, True])
async def test_the_last_words_wait_for_a_client_that_asked_for_them(start: Start, reset: bool) -> None:
    async with start(**BY_LENGTH) as gateway:
        gateway.backend.gate.clear()
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(0.5))
            await first.say("close")
            await gateway.backend.requests_are(1)
            kill(first, reset=reset)
        live = next(iter(gateway.app[LIVE].sessions))
        gateway.backend.gate.set()
        await eventually(lambda: live.finished and not live.attached)
        async with talking(gateway, again(first)) as second:
            assert await second.rest() == 1000
            assert [told["type"] for told in second.told] == ["session.started", "final", "session.closed"]
        await nothing_is_left(gateway)


async def test_nobody_waits_longer_than_the_grace_time(start: Start) -> None:
    async with start(**BY_LENGTH, session_grace_s=0.1) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(0.5))
            await first.until("speech.started")
            await break_off(gateway, first)
        await nothing_is_left(gateway)
        status, error, _ = await refusal(gateway, again(first))
        assert (status, error["code"]) == (401, "invalid_resume_token")


async def test_a_session_that_heard_nothing_does_not_wait(start: Start) -> None:
    async with start() as gateway:
        async with talking(gateway) as first:
            kill(first)
        await nothing_is_left(gateway)


@pytest.mark.parametrize("finals", [1, 3])
async def test_what_is_no_longer_kept_is_said_to_be_so(start: Start, finals: int) -> None:
    async with start(**BY_LENGTH, session_replay=1) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(finals + 0.05))
            for _ in range(finals):
                await first.until("final")
            await break_off(gateway, first)
        async with talking(gateway, again(first)) as second:
            if finals > 1:
                assert second.told[0]["code"] == "replay_expired"
            else:
                assert (await second.until("final"))["utterance"] == 0


async def test_stopping_ends_sessions_that_wait_for_their_client(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(0.5))
            await first.until("speech.started")
            await break_off(gateway, first)
        await asyncio.wait_for(drained(gateway.app), 5)
        await nothing_is_left(gateway)


async def test_a_client_that_answers_no_ping_is_taken_for_lost(start: Start) -> None:
    async with start(**BY_LENGTH, heartbeat_s=0.1) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.5))
        await eventually(lambda: len(gateway.app[LIVE]) == 1)
        live = next(iter(gateway.app[LIVE].sessions))
        await eventually(lambda: not live.attached)
        assert live.listens


async def test_whoever_comes_back_too_late_is_told_why_it_ended(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        async with talking(gateway) as first:
            await first.socket.send_bytes(tone(0.5))
            live = next(iter(gateway.app[LIVE].sessions))
            await eventually(lambda: live.account.audio_ms == 500)
            await break_off(gateway, first)
        live.finish(IdleTimeout("It was too old.", code="session_expired"))
        await eventually(lambda: live.finished)
        async with talking(gateway, again(first)) as second:
            assert await second.rest() == 1008
        assert [told["code"] for told in second.of("error")] == ["session_expired"]
        assert [told["type"] for told in second.told][-2:] == ["error", "session.closed"]
        await nothing_is_left(gateway)
