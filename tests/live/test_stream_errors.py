import zlib
from contextlib import suppress

import pytest

from gateway.api.keys import LIVE
from gateway.core.errors import ModelFailed, ModelUnavailable
from tests.live.talking import (
    BY_LENGTH,
    SECOND,
    STREAM,
    nothing_is_left,
    refusal,
    talking,
    talking_raw,
    tone,
)
from tests.serving import Gateway, Start, health_of


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
    ("opcode", "payload", "options", "close_code", "reason"),
    [
        (1, b"\xff\xfe", {}, 1007, "invalid_utf8"),
        (2, bytes(70_000), {}, 1009, "message_too_big"),
        (2, zlib.compress(bytes(50 << 20)), {"first_bits": 0xC0}, 1002, "protocol_error"),
        (11, b"", {}, 1002, "protocol_error"),
        (9, bytes(126), {}, 1002, "protocol_error"),
    ],
)
async def test_what_is_no_websocket_frame_is_closed_by_its_code(
    start: Start, opcode: int, payload: bytes, options: dict[str, object], close_code: int, reason: str
) -> None:
    async with start(**BY_LENGTH, max_message_bytes=65_536) as gateway, talking_raw(gateway) as raw:
        await raw.send(2, tone(0.5))
        await raw.send(opcode, payload, **options)  # type: ignore[arg-type]  # wrong on purpose
        told, code = await raw.told()
        assert (code, raw.close_reason) == (close_code, reason)
        assert [message["type"] for message in told][-3:] == ["final", "error", "session.closed"]
        assert told[-2]["code"] == reason
        await nothing_is_left(gateway)


async def test_a_first_message_that_can_not_be_read_is_refused(start: Start) -> None:
    async with start(max_message_bytes=65_536) as gateway, talking_raw(gateway, STREAM) as raw:
        await raw.send(2, bytes(70_000))
        told, code = await raw.told()
        assert ([message["code"] for message in told], code) == (["message_too_big"], 1009)
        await nothing_is_left(gateway)


@pytest.mark.parametrize("opcode", [1, 2])
async def test_sixteen_megabytes_at_once_are_not_read_to_their_end(start: Start, opcode: int) -> None:
    async with start(**BY_LENGTH) as gateway, talking_raw(gateway) as raw:
        with suppress(ConnectionError):
            await raw.send(opcode, b" " * (16 << 20))
        _, code = await raw.told()
        # The code is lost where the connection is reset under what was still on its way.
        assert code in (1009, None)
        await nothing_is_left(gateway)


async def test_no_client_may_compress(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, gateway.client.ws_connect(STREAM, compress=15) as socket:
        assert socket.compress == 0


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        (STREAM + "?colour=red", 400, "unknown_parameter"),
        (STREAM + "?sample_rate=4", 400, "invalid_parameter"),
        (STREAM + "?session_id=nobody&resume_token=wrong", 401, "invalid_resume_token"),
        (STREAM + "?resume_token=wrong", 400, "missing_required_parameter"),
        (STREAM + "?model=nobody", 404, "model_not_found"),
    ],
)
async def test_a_wrong_query_is_an_http_answer(gateway: Gateway, url: str, status: int, code: str) -> None:
    got, error, _ = await refusal(gateway, url)
    assert (got, error["code"]) == (status, code)


async def test_nobody_comes_in_while_the_model_is_away(start: Start) -> None:
    async with start() as gateway:
        gateway.backend.canary_error = ModelUnavailable("gone")
        health_of(gateway).failed(ModelUnavailable("gone"))
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


async def test_a_bug_in_a_connection_is_logged_once_and_closed_by_1011(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway) as talker:
        live = next(iter(gateway.app[LIVE].sessions))
        live._scorer = None  # type: ignore[assignment]  # a bug
        await talker.socket.send_bytes(tone(0.5))
        assert await talker.rest() == 1011
        assert [record.message for record in caplog.records if record.exc_info] == ["a bug ended this request"]
        await nothing_is_left(gateway)
