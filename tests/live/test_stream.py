import json

import pytest

from tests.fixtures.audio_files import encode, speech
from tests.live.talking import (
    BY_LENGTH,
    SECOND,
    STREAM,
    Talker,
    nothing_is_left,
    talking,
    talking_raw,
    tone,
)
from tests.serving import Start


async def test_a_session_from_its_start_to_its_account(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(2.5))
        await talker.say("close")
        assert await talker.rest() == 1000
        started, *between, closed = talker.told
        assert started["type"] == "session.started"
        assert len(started["resume_token"]) >= 32
        assert [final["text"] for final in talker.of("final")] == ["piece 0", "piece 1", "piece 2"]
        assert [final["reason"] for final in talker.of("final")] == ["max_length", "max_length", "close"]
        assert [final["start_ms"] for final in talker.of("final")] == [0, 900, 1800]
        assert len(between) == 6
        assert closed == {"type": "session.closed", "audio_ms": 2500, "finals": 3, "failed": 0, "dropped_ms": 0}
        await nothing_is_left(gateway)


async def test_the_first_message_may_choose_the_options(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, gateway.client.ws_connect(STREAM) as socket:
        talker = Talker(socket)
        await talker.say("configure", max_utterance_ms=1000, silence_ms=300, language="de", session_id="mine")
        assert (await talker.until("session.started"))["session_id"] == "mine"
        await socket.send_bytes(tone(1.5))
        await talker.until("final")
        assert gateway.backend.requests[0][0] == "mine-final-0"
        assert gateway.backend.requests[0][2].language == "de"


async def test_audio_as_the_first_message_takes_the_defaults(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, gateway.client.ws_connect(STREAM) as socket:
        talker = Talker(socket)
        await socket.send_bytes(tone(0.5))
        await talker.say("close")
        assert await talker.rest() == 1000
        assert talker.told[0]["type"] == "session.started"
        assert len(talker.of("final")) == 1


async def test_finalize_cuts_and_the_session_goes_on(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        for _ in range(2):
            await talker.socket.send_bytes(tone(0.4))
            await talker.say("finalize")
            assert (await talker.until("final"))["reason"] == "finalize"
        await talker.say("keepalive")
        await talker.say("reset")
        await talker.say("close")
        assert await talker.rest() == 1000


async def test_what_the_resampler_holds_belongs_to_the_utterance_that_is_finalized(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, STREAM + SECOND + "&sample_rate=8000") as talker:
        await talker.socket.send_bytes(tone(1.0))
        await talker.say("finalize")
        await talker.say("close")
        await talker.rest()
        assert talker.told[-1]["audio_ms"] == 2000


async def test_configure_changes_the_next_utterance_and_the_encoding_at_once(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        await talker.say("finalize")
        await talker.say("configure", language="fr", encoding="mulaw", sample_rate=8000)
        await talker.socket.send_bytes(bytes(range(256)) * 16)
        await talker.say("close")
        await talker.rest()
        assert [request[2].language for request in gateway.backend.requests] == [None, "fr"]
        assert talker.told[-1]["audio_ms"] == 500 + 512


async def test_opus_brings_its_own_rate(start: Start) -> None:
    recording = encode(speech("weather"), "ogg", "libopus", 48_000)
    async with start(**BY_LENGTH) as gateway, talking(gateway, STREAM + SECOND + "&encoding=opus") as talker:
        await talker.socket.send_bytes(recording[:4_000])
        await talker.say("configure", sample_rate=48_000, language="en")
        await talker.socket.send_bytes(recording[4_000:])
        await talker.say("close")
        assert await talker.rest() == 1000
        assert talker.told[-1]["audio_ms"] == pytest.approx(len(speech("weather")) / 16, abs=20)


async def test_a_close_frame_is_answered_by_all_finals_too(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.5))
        await raw.send(8, (1000).to_bytes(2, "big"))
        told, code = await raw.told()
        assert [message["type"] for message in told][-2:] == ["final", "session.closed"]
        assert code == 1000
        await nothing_is_left(gateway)


async def test_a_client_that_closes_its_half_gets_every_final(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking_raw(gateway) as raw:
        gateway.backend.gate.clear()
        await raw.send(2, tone(1.5))
        await raw.send(1, b'{"type": "close"}')
        raw.writer.write_eof()
        await gateway.backend.requests_are(1)
        gateway.backend.gate.set()
        told, code = await raw.told()
        assert [message["type"] for message in told if message["type"] in ("final", "session.closed")] == [
            "final",
            "final",
            "session.closed",
        ]
        assert code == 1000


async def test_a_half_close_without_a_word_leaves_the_session_for_its_client(start: Start) -> None:
    async with start(**BY_LENGTH | {"session_stall_s": 0.1}) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.5))
        raw.writer.write_eof()
        told, _ = await raw.told()
        assert [message["type"] for message in told] == ["session.started", "speech.started", "final"]
        started = told[0]
        resume = f"?session_id={started['session_id']}&resume_token={started['resume_token']}&last_utterance=0"
        async with talking(gateway, STREAM + resume) as talker:
            assert talker.told[0]["received_until_ms"] == 500
            await talker.say("close")
            assert await talker.rest() == 1000


async def test_interim_results_are_told_and_end_with_the_final(start: Start) -> None:
    async with (
        start(**BY_LENGTH, partial_interval_ms=200) as gateway,
        talking(gateway, STREAM + SECOND + "&interim_results=true") as talker,
    ):
        for _ in range(3):
            await talker.socket.send_bytes(tone(0.25))
            assert (await talker.until("partial"))["utterance"] == 0
        await talker.say("close")
        assert await talker.rest() == 1000
        assert [told["type"] for told in talker.told][-2:] == ["final", "session.closed"]
        assert {request[0].split("-")[1] for request in gateway.backend.requests} == {"partial", "final"}


async def test_a_message_may_come_in_fragments(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.25), first_bits=0)
        await raw.send(0, tone(0.25))
        await raw.send(1, json.dumps({"type": "close"}).encode())
        told, code = await raw.told()
        assert (told[-1]["audio_ms"], code) == (500, 1000)


async def test_what_a_filter_takes_out_is_told_and_only_where_it_was_wished(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway:
        gateway.backend.text = "So uh, we left"
        finals = []
        for wish in ("", "&filters=fillers&quality=true"):
            async with talking(gateway, STREAM + SECOND + wish) as talker:
                await talker.socket.send_bytes(tone(0.5))
                await talker.say("close")
                finals.append(await talker.until("final"))
        plain, honest = finals
        assert plain["text"] == "So uh, we left"
        assert not plain.keys() & {"filtered", "quality"}
        assert (honest["text"], honest["filtered"]) == ("So we left", [{"reason": "fillers", "text": "uh,"}])
        assert honest["quality"] == {"level": "good", "reason_codes": []}
