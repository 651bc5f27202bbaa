import asyncio
import json

import pytest

from gateway.api.keys import LIVE, WARDEN
from gateway.core.errors import ModelFailed, ModelUnavailable
from tests.live.talking import (
    BY_LENGTH,
    SECOND,
    STREAM,
    Talker,
    counted,
    nothing_is_left,
    refusal,
    talking,
    talking_raw,
    tone,
)
from tests.serving import Gateway, Start, eventually


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


async def test_a_client_that_says_nothing_at_first_is_told_and_closed(start: Start) -> None:
    async with start(configure_timeout_s=0.05) as gateway, gateway.client.ws_connect(STREAM) as socket:
        talker = Talker(socket)
        assert (await talker.until("error"))["code"] == "idle_timeout"
        assert await talker.rest() == 1008
        await nothing_is_left(gateway)


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


@pytest.mark.parametrize(
    ("message", "code", "close_code"),
    [
        ("not json", "invalid_json", 1008),
        ("[1]", "unknown_type", 1008),
        ('{"type": "dance"}', "unknown_type", 1008),
        ('{"type": "finalize", "now": true}', "unknown_parameter", 1008),
        ('{"type": "configure", "language": "klingon"}', "unsupported_language", 1008),
        ('{"type": "configure", "model": "gpt-9"}', "model_not_found", 1008),
        ('{"type": "configure", "max_utterance_ms": 99999}', "invalid_parameter", 1008),
        ('{"type": "configure", "session_id": "late"}', "unknown_parameter", 1008),
    ],
)
async def test_a_mistake_is_told_after_what_was_said_before_it(
    start: Start, message: str, code: str, close_code: int
) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        await talker.socket.send_str(message)
        await talker.socket.send_bytes(tone(5))
        assert await talker.rest() == close_code
        assert [told["type"] for told in talker.told] == [
            "session.started",
            "speech.started",
            "final",
            "error",
            "session.closed",
        ]
        assert talker.of("error")[0]["code"] == code
        await nothing_is_left(gateway)


@pytest.mark.parametrize(
    ("query", "data", "code", "close_code"),
    [
        ("&encoding=opus", b"RIFF0000" * 8, "unsupported_audio", 1003),
        ("&encoding=opus", b"OggS" + bytes(64), "invalid_audio", 1007),
        ("&encoding=f32", b"\xff" * 64, "invalid_audio", 1007),
    ],
)
async def test_bad_audio_has_its_own_close_code(
    start: Start, query: str, data: bytes, code: str, close_code: int
) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, STREAM + SECOND + query) as talker:
        await talker.socket.send_bytes(data)
        assert await talker.rest() == close_code
        assert talker.of("error")[0]["code"] == code


async def test_half_a_sample_at_the_end_is_told(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5) + b"\0")
        await talker.say("close")
        assert await talker.rest() == 1007
        assert [told["type"] for told in talker.told][2:] == ["final", "error", "session.closed"]


@pytest.mark.parametrize(
    ("opcode", "payload", "options", "close_code"),
    [
        (1, b"\xff\xfe", {}, 1007),
        (2, bytes(70_000), {}, 1009),
        (2, b"deflated?", {"first_bits": 0xC0}, 1002),
        (11, b"", {}, 1002),
        (9, bytes(126), {}, 1002),
    ],
)
async def test_what_is_no_websocket_frame_is_closed_by_its_code(
    start: Start, opcode: int, payload: bytes, options: dict[str, object], close_code: int
) -> None:
    async with start(**BY_LENGTH, max_message_bytes=65_536) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.5))
        await raw.send(opcode, payload, **options)  # type: ignore[arg-type]  # wrong on purpose
        _, code = await raw.told()
        assert code == close_code
        await nothing_is_left(gateway)


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        (STREAM + "?colour=red", 400, "unknown_parameter"),
        (STREAM + "?sample_rate=4", 400, "invalid_parameter"),
        (STREAM + "?session_id=nobody&resume_token=wrong", 401, "invalid_resume_token"),
        (STREAM + "?resume_token=wrong", 400, "missing_required_parameter"),
    ],
)
async def test_a_wrong_query_is_an_http_answer(gateway: Gateway, url: str, status: int, code: str) -> None:
    got, error, _ = await refusal(gateway, url)
    assert (got, error["code"]) == (status, code)


async def test_a_full_house_is_told_before_the_upgrade(start: Start) -> None:
    async with start(max_sessions=2, max_sessions_per_key=1) as gateway, talking(gateway):
        status, error, headers = await refusal(gateway)
        assert (status, error["code"]) == (429, "quota_exceeded")
        assert headers["Retry-After"]
        async with talking(gateway, headers={"Authorization": "Bearer other"}):
            status, error, headers = await refusal(gateway, headers={"Authorization": "Bearer third"})
            assert (status, error["code"]) == (503, "overloaded")
            assert headers["Retry-After"]


async def test_nobody_comes_in_while_the_model_is_away(start: Start) -> None:
    async with start() as gateway:
        gateway.backend.canary_error = ModelUnavailable("gone")
        gateway.app[WARDEN].failed("base", ModelUnavailable("gone"))
        status, error, _ = await refusal(gateway)
        assert (status, error["code"]) == (503, "model_unavailable")


async def test_a_name_belongs_to_one_session(start: Start) -> None:
    mine = STREAM + "?session_id=mine"
    async with start() as gateway, talking(gateway, mine), talking(gateway, mine) as second:
        assert await second.rest() == 1008
        assert second.told[0]["code"] == "session_exists"


async def test_one_failure_is_told_and_several_end_the_session(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        gateway.backend.error = ModelFailed("odd")
        await talker.socket.send_bytes(tone(1.2))
        assert (await talker.until("failed"))["code"] == "model_failed"
        gateway.backend.error = None
        await talker.socket.send_bytes(tone(1.0))
        await talker.until("final")
        gateway.backend.error = ModelUnavailable("gone")
        await talker.socket.send_bytes(tone(3.5))
        assert await talker.rest() == 1013
        assert talker.of("error")[0]["code"] == "model_unavailable"
        await nothing_is_left(gateway)


async def test_a_final_that_takes_too_long_fails_and_the_session_lives(start: Start) -> None:
    async with start(**BY_LENGTH, final_timeout_s=0.05) as gateway, talking(gateway) as talker:
        gateway.backend.gate.clear()
        await talker.socket.send_bytes(tone(1.2))
        assert (await talker.until("failed"))["code"] == "deadline_exceeded"
        gateway.backend.gate.set()
        await talker.say("close")
        assert await talker.rest() == 1000


async def test_a_client_faster_than_the_model_is_slowed_and_loses_nothing(start: Start) -> None:
    async with start(**BY_LENGTH, max_session_audio_ms=16_000) as gateway, talking(gateway) as talker:
        gateway.backend.gate.clear()
        sending = asyncio.create_task(talker.socket.send_bytes(tone(30)))
        assert (await talker.until("backpressure"))["action"] == "slow_down"
        assert (await talker.until("backpressure"))["action"] == "pause"
        await sending
        await talker.say("close")
        gateway.backend.gate.set()
        assert await talker.rest() == 1000
        assert talker.told[-1] == {
            "type": "session.closed",
            "audio_ms": 30_000,
            "finals": 34,
            "failed": 0,
            "dropped_ms": 0,
        }
        assert talker.of("backpressure")[-1]["action"] == "resume"


async def test_without_room_for_its_audio_a_session_waits_and_then_ends(start: Start) -> None:
    limits = {"max_live_audio_mib": 1, "audio_budget_wait_s": 0.05, "max_message_bytes": 1 << 20}
    async with start(**BY_LENGTH, **limits) as gateway, talking(gateway) as first, talking(gateway) as second:
        gateway.backend.gate.clear()
        for talker in (first, second):
            await talker.socket.send_bytes(tone(26))
        await eventually(lambda: counted(gateway, "tritone_live_audio_waits_total") > 0)
        await eventually(lambda: not all(live.listens for live in gateway.app[LIVE].sessions))
        gateway.backend.gate.set()
        for talker in (first, second):
            if not talker.socket.closed:
                await talker.say("close")
        assert 1013 in (await first.rest(), await second.rest())


async def test_a_client_that_does_not_read_is_closed(start: Start) -> None:
    settings = BY_LENGTH | {"send_timeout_s": 0.1, "close_timeout_s": 0.1, "outbox_messages": 8}
    async with start(**settings) as gateway, talking_raw(gateway) as raw:
        gateway.backend.text = "a long text " * 20_000
        for _ in range(40):
            await raw.send(2, tone(1.0))
        await eventually(lambda: counted(gateway, "tritone_slow_readers_total") > 0)
        await nothing_is_left(gateway)


async def test_a_silent_client_is_told_and_closed(start: Start) -> None:
    async with start(session_idle_s=0.1) as gateway, talking(gateway) as talker:
        assert await talker.rest() == 1008
        assert talker.of("error")[0]["code"] == "idle_timeout"


async def test_an_old_session_ends_in_order(start: Start) -> None:
    async with start(**BY_LENGTH, session_age_s=1) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        assert await talker.rest() == 1008
        assert talker.of("error")[0]["code"] == "session_expired"
        assert len(talker.of("final")) == 1


async def test_stopping_answers_what_is_open_and_says_goodbye(start: Start) -> None:
    async with start(**BY_LENGTH, drain_s=5) as gateway, talking(gateway) as talker:
        await talker.socket.send_bytes(tone(0.5))
        await talker.until("speech.started")
        stopping = asyncio.create_task(gateway.app.shutdown())
        assert await talker.rest() == 1001
        await stopping
        assert [told["type"] for told in talker.told][2:] == ["final", "error", "session.closed"]
        assert talker.of("error")[0]["code"] == "shutting_down"


async def test_stopping_does_not_wait_for_ever(start: Start) -> None:
    async with start(**BY_LENGTH, drain_s=0.1) as gateway, talking(gateway) as talker:
        gateway.backend.gate.clear()
        await talker.socket.send_bytes(tone(1.5))
        await gateway.backend.requests_are(1)
        await gateway.app.shutdown()
        assert await talker.rest() == 1001
        await nothing_is_left(gateway)


async def test_a_bug_ends_one_session_with_1011_and_no_other(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as other, talking(gateway) as talker:
        gateway.backend.error = ZeroDivisionError()
        await talker.socket.send_bytes(tone(1.5))
        assert await talker.rest() == 1011
        assert talker.of("error") == [
            {"type": "error", "code": "internal_error", "message": "Internal error.", "retryable": False}
        ]
        assert [record.message for record in caplog.records if record.exc_info] == ["a bug ended this session"]
        gateway.backend.error = None
        await other.socket.send_bytes(tone(0.5))
        await other.say("close")
        assert await other.rest() == 1000


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


async def test_an_interim_result_gives_way_and_is_counted(start: Start) -> None:
    settings = {"partial_interval_ms": 200, "partial_permits": 1, "partial_wait_s": 0.0}
    async with (
        start(**BY_LENGTH, **settings) as gateway,
        talking(gateway) as busy,
        talking(gateway, STREAM + SECOND + "&interim_results=true") as talker,
    ):
        gateway.backend.gate.clear()
        await busy.socket.send_bytes(tone(1.2))
        await gateway.backend.requests_are(1)
        await talker.socket.send_bytes(tone(0.3))
        await eventually(lambda: counted(gateway, "tritone_partials_total", outcome="skipped") == 1)
        gateway.backend.gate.set()
        await talker.socket.send_bytes(tone(0.3))
        await talker.until("partial")


async def test_a_message_may_come_in_fragments(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.25), first_bits=0)
        await raw.send(0, tone(0.25))
        await raw.send(1, json.dumps({"type": "close"}).encode())
        told, code = await raw.told()
        assert (told[-1]["audio_ms"], code) == (500, 1000)
