"""The older service's door, with a model that does as it is told."""

import asyncio
import base64
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.keys import ADMISSION, CONTEXTS, DRAINING, LIVE, STOPPING
from gateway.core.errors import ModelUnavailable, Overloaded
from gateway.settings import Settings
from tests.fakes import FakeTranscriber
from tests.fixtures.audio_files import speech
from tests.fixtures.live_audio import opus, prefixed
from tests.live.talking import counted, tone
from tests.serving import Gateway, Start, eventually, get, listening, wav

SECOND = tone(1.0)


def body(audio: bytes = SECOND, **fields: Any) -> dict[str, Any]:
    return {"audio": base64.b64encode(audio).decode(), **fields}


async def say(gateway: Gateway, audio: bytes = SECOND, **fields: Any) -> tuple[int, dict[str, Any]]:
    async with gateway.client.post("/utterance", json=body(audio, **fields)) as reply:
        return reply.status, await reply.json()


async def reset(gateway: Gateway, **fields: Any) -> tuple[int, dict[str, Any]]:
    async with gateway.client.post("/reset", json=fields) as reply:
        return reply.status, await reply.json()


def nothing_is_held(gateway: Gateway) -> bool:
    admission, budget = gateway.app[ADMISSION], gateway.app[LIVE].shared.budget
    return not any((admission.requests, admission.in_flight, admission.waiting, budget.held_bytes))


async def test_audio_becomes_text_on_the_clients_clock(gateway: Gateway) -> None:
    status, answer = await say(gateway, tone(2.0), job_id="a-1", sample_rate=8_000, quality=True)
    assert status == 200
    assert (answer["job_id"], answer["duration"]) == ("a-1", 4.0)
    assert answer["text"] == "piece 0 piece 1 piece 2 piece 3"
    # By length alone at 1.2 s, at the quietest point before that; nothing is left out between the pieces.
    spans = answer["vad_segments"]
    assert (spans[0][0], spans[-1][1]) == (0, 32_000)
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert [round(segment["start"] * 8_000) for segment in answer["segments"]] == [start for start, _ in spans]
    assert (answer["language"], answer["language_probability"]) == ("en", 0.9)
    assert answer["language_probabilities"] == {"en": 0.9}
    assert answer["quality"] == {"level": "good", "reason_codes": []}
    assert "filtered" not in answer
    assert nothing_is_held(gateway)


async def test_job_ids_never_collide(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(say(gateway) for _ in range(20)))
    assert len({answer["job_id"] for _, answer in answers}) == 20


async def test_what_was_not_decoded_is_told(gateway: Gateway) -> None:
    _, answer = await say(gateway, bytes(32_000))
    assert (answer["text"], answer["language"], answer["language_probability"]) == ("", None, None)
    assert answer["filtered"] == [{"reason": "too_quiet", "text": ""}]
    assert gateway.backend.requests == []


async def test_every_option_reaches_the_model(gateway: Gateway) -> None:
    chosen: dict[str, Any] = {
        "beam_size": 3, "temperature": 0.2, "patience": 2.0, "compression_ratio_threshold": 2.0,
        "log_prob_threshold": -0.5, "no_speech_threshold": 0.4, "word_timestamps": True, "prompt": "Ada",
    }  # fmt: skip
    status, _ = await say(gateway, src_lang="de", language="de", task="translate", timeout_s=5, trace_id="t", **chosen)
    assert status == 200
    options = gateway.backend.requests[0][2]
    assert {name: getattr(options, name) for name in chosen} == chosen
    assert (options.language, options.task, options.language_probabilities) == ("de", "translate", True)


@pytest.mark.parametrize(
    ("audio_format", "audio"),
    [("wav", wav(1.0)), ("opus", prefixed(opus(speech("weather")[:16_000]).packets)), ("pcm16", SECOND)],
)
async def test_every_format_is_heard(gateway: Gateway, audio_format: str, audio: bytes) -> None:
    status, answer = await say(gateway, audio, audio_format=audio_format)
    assert status == 200
    assert answer["duration"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"audio": None}, 400, "missing_required_parameter", "audio"),
        ({"audio": 5}, 400, "invalid_parameter", "audio"),
        ({"audio": "*?"}, 400, "invalid_parameter", "audio"),
        ({"audio": "AAA"}, 400, "invalid_parameter", "audio"),
        ({"audio": "é"}, 400, "invalid_parameter", "audio"),
        ({"audio": ""}, 400, "missing_required_parameter", "audio"),
        ({"colour": "blue"}, 400, "unknown_parameter", "colour"),
        ({"audio_format": "midi"}, 400, "invalid_parameter", "audio_format"),
        ({"sample_rate": 4_000}, 400, "invalid_parameter", "sample_rate"),
        ({"sample_rate": "16000"}, 400, "invalid_parameter", "sample_rate"),
        ({"src_lang": "xx"}, 400, "unsupported_language", "src_lang"),
        ({"src_lang": "de", "language": "en"}, 400, "invalid_parameter", "language"),
        ({"task": "sing"}, 400, "invalid_parameter", "task"),
        ({"beam_size": 0}, 400, "invalid_parameter", "beam_size"),
        ({"beam_size": True}, 400, "invalid_parameter", "beam_size"),
        ({"patience": 0.5}, 400, "invalid_parameter", "patience"),
        ({"temperature": "warm"}, 400, "invalid_parameter", "temperature"),
        ({"padding_ms": 2_001}, 400, "invalid_parameter", "padding_ms"),
        ({"padding_ms": 600}, 400, "invalid_parameter", "padding_ms"),
        ({"use_text_context": True}, 400, "unsupported_parameter", "use_text_context"),
        ({"use_context_buffer": True}, 400, "unsupported_parameter", "use_context_buffer"),
        ({"condition_on_previous_text": "yes"}, 400, "invalid_parameter", "condition_on_previous_text"),
        ({"session_id": "a b"}, 400, "invalid_parameter", "session_id"),
        ({"job_id": "x" * 129}, 400, "invalid_parameter", "job_id"),
        ({"filters": ["jokes"]}, 400, "invalid_parameter", "filters"),
        ({"model": "gpt"}, 404, "model_not_found", "model"),
        ({"audio": base64.b64encode(b"odd").decode()}, 422, "invalid_audio", "audio"),
        ({"audio_format": "opus"}, 422, "invalid_audio", "audio"),
        ({"audio_format": "opus", "audio": base64.b64encode(b"\xff\xff\0").decode()}, 422, "invalid_audio", "audio"),
        ({"audio_format": "wav"}, 422, "unsupported_audio", "audio"),
        ({"audio_format": "flac", "audio": base64.b64encode(wav(0.1)).decode()}, 422, "invalid_audio", "audio"),
    ],
)
async def test_what_cant_be_honoured_is_refused_by_name(
    gateway: Gateway, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    async with gateway.client.post("/utterance", json={**body(), **fields}) as reply:
        error = (await reply.json())["error"]
        assert (reply.status, error["code"], error["param"]) == (status, code, param)
    assert nothing_is_held(gateway)
    assert len(gateway.app[CONTEXTS]) == 0


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"[]", {}, 400, "invalid_parameter"),
        (b"\xff\xfe", {}, 400, "invalid_json"),
        (b"", {}, 400, "invalid_json"),
        (b"{}", {"Content-Type": "text/plain"}, 400, "invalid_json"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "invalid_json"),
        (b"x" * 5_000, {}, 413, "body_too_large"),
    ],
)
@pytest.mark.parametrize("route", ["/utterance", "/reset"])
async def test_what_is_no_json_object_is_refused(
    start: Start, route: str, data: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    async with start(max_posted_bytes=4_096, max_field_bytes=4_096) as gateway:
        sent = {"Content-Type": "application/json", **headers}
        async with gateway.client.post(route, data=data, headers=sent) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (status, code)
        assert nothing_is_held(gateway)


async def test_a_body_without_a_length_and_a_bomb_are_bounded(start: Start) -> None:
    async def endless() -> Any:
        while True:
            yield b" " * 65_536

    async with start(max_posted_bytes=1_000_000) as gateway:
        headers = {"Content-Type": "application/json"}
        async with gateway.client.post("/utterance", data=endless(), headers=headers) as reply:
            assert reply.status == 413
        bomb = zlib.compress(b" " * 50_000_000)
        headers["Content-Encoding"] = "deflate"
        async with gateway.client.post("/utterance", data=bomb, headers=headers) as reply:
            assert reply.status == 413
        assert nothing_is_held(gateway)


async def test_audio_that_is_too_long_is_told_so(start: Start) -> None:
    async with start(max_posted_audio_s=2) as gateway:
        status, answer = await say(gateway, tone(2.5))
        assert (status, answer["error"]["code"]) == (422, "audio_too_long")


async def test_a_session_remembers_and_only_itself(gateway: Gateway) -> None:
    gateway.backend.text = "It rained."
    await say(gateway, session_id="a", use_context_buffer=True)
    await say(gateway, session_id="a", use_context_buffer=True)
    await say(gateway, session_id="b", use_context_buffer=True)
    await say(gateway)
    async with gateway.client.post(
        "/utterance", json=body(session_id="a", use_context_buffer=True), headers={"Authorization": "Bearer another"}
    ) as reply:
        assert reply.status == 200
    prompts = [(options.prompt, options.language, samples) for _, _, options, samples in gateway.backend.requests]
    fresh = (None, None, 16_000)
    # The second one has a second of the first one in front; since it sounds like its prompt, it is decoded again alone.
    assert prompts == [fresh, ("It rained.", "en", 32_000), (None, "en", 16_000), fresh, fresh, fresh]
    assert len(gateway.app[CONTEXTS]) == 3


async def test_pieces_go_together_once_the_language_is_known(gateway: Gateway) -> None:
    gateway.backend.gate.clear()
    saying = asyncio.create_task(say(gateway, tone(4.0)))
    await gateway.backend.requests_are(1)
    gateway.backend.gate.set()  # for the one that waits, and not for those to come
    gateway.backend.gate.clear()
    await gateway.backend.requests_are(3)
    gateway.backend.gate.set()
    status, answer = await saying
    assert (status, answer["language"]) == (200, "en")
    languages = [options.language for _, _, options, _ in gateway.backend.requests]
    assert languages == [None, *["en"] * (len(languages) - 1)]


async def test_each_kind_of_context_can_be_left_out(gateway: Gateway) -> None:
    gateway.backend.text = "It rained."
    await say(gateway, session_id="a", use_context_buffer=True)
    await say(gateway, session_id="a", use_context_buffer=False)
    await say(gateway, session_id="b", use_context_buffer=True)
    await say(gateway, session_id="b", use_context_buffer=True, use_text_context=False)
    await say(gateway, session_id="b", use_context_buffer=True)
    seen = [(options.prompt, samples) for _, _, options, samples in gateway.backend.requests if options.language]
    # The first sounded like its prompt, and was decoded again without one.
    assert seen == [("It rained.", 16_000), (None, 16_000), (None, 32_000), (None, 32_000)]


@pytest.mark.parametrize("language", [{}, {"src_lang": "en"}])
async def test_the_pieces_of_one_request_follow_each_other_where_it_is_wished(
    gateway: Gateway, language: dict[str, str]
) -> None:
    gateway.backend.text = "It rained."
    await say(gateway, tone(2.0), condition_on_previous_text=True, **language)
    # What sounds like the prompt is decoded again without one.
    assert [options.prompt for _, _, options, _ in gateway.backend.requests] == [None, "It rained.", None]


@pytest.mark.parametrize(
    ("kept", "seen"),
    [
        ({}, (None, None, 16_000)),
        ({"reset_context": False}, (None, "en", 32_000)),
        ({"reset_text_context": False, "reset_vad": True}, ("It rained.", None, 16_000)),
    ],
)
async def test_reset_forgets_what_it_is_told_to(gateway: Gateway, kept: dict[str, bool], seen: tuple[Any, ...]) -> None:
    gateway.backend.text = "It rained."
    await say(gateway, session_id="a", use_context_buffer=True)
    assert await reset(gateway, session_id="a", **kept) == (200, {"status": "ok", "session_id": "a"})
    await say(gateway, session_id="a", use_context_buffer=True)
    _, _, options, samples = gateway.backend.requests[1]
    assert (options.prompt, options.language, samples) == seen


async def test_reset_wants_a_session_and_nothing_it_does_not_know(gateway: Gateway) -> None:
    assert (await reset(gateway))[0] == 400
    assert (await reset(gateway, session_id="a", reset_all=True))[0] == 400
    assert (await reset(gateway, session_id="a", reset_vad=1))[0] == 400
    assert (await reset(gateway, session_id="a"))[0] == 200
    assert len(gateway.app[CONTEXTS]) == 0


async def test_requests_of_one_session_go_one_at_a_time_in_order(start: Start) -> None:
    async with start(max_context_requests=3) as gateway:
        gateway.backend.gate.clear()
        first = asyncio.create_task(say(gateway, session_id="a"))
        await gateway.backend.requests_are(1)
        second = asyncio.create_task(say(gateway, session_id="a", prompt="second"))
        await eventually(lambda: gateway.app[ADMISSION].requests == 2)
        third = asyncio.create_task(reset(gateway, session_id="a"))
        await say(gateway, bytes(100), session_id="b")
        place = next(iter(gateway.app[CONTEXTS]._places.values()))
        await eventually(lambda: place.requests == 3)
        status, answer = await say(gateway, session_id="a")
        assert (status, answer["error"]["code"]) == (429, "quota_exceeded")
        assert counted(gateway, "tritone_contexts_refused_total", code="quota_exceeded") == 1
        assert len(gateway.backend.requests) == 1
        gateway.backend.gate.set()
        assert [(await task)[0] for task in (first, second, third)] == [200, 200, 200]
        assert gateway.backend.most_in_flight == 1
        assert gateway.backend.requests[1][2].prompt == "second piece 0"
        await eventually(lambda: len(gateway.app[CONTEXTS]) == 0)


async def test_sessions_are_bounded_in_number_and_expire(start: Start) -> None:
    async with start(max_contexts=1, context_idle_s=0.2) as gateway:
        await say(gateway, session_id="a")
        status, answer = await say(gateway, session_id="b")
        assert (status, answer["error"]["code"]) == (503, "too_many_sessions")
        await eventually(lambda: len(gateway.app[CONTEXTS]) == 0)
        assert counted(gateway, "tritone_contexts_expired_total") == 1
        assert (await say(gateway, session_id="b"))[0] == 200
        assert gateway.backend.requests[-1][2].prompt is None


async def test_one_caller_does_not_take_them_all(start: Start) -> None:
    async with start(max_contexts_per_key=1) as gateway:
        await say(gateway, session_id="a")
        status, answer = await say(gateway, session_id="b")
        assert (status, answer["error"]["code"]) == (429, "quota_exceeded")
        assert (await say(gateway, session_id="a"))[0] == 200


async def test_a_request_that_fails_leaves_no_context(start: Start) -> None:
    async with start(FakeTranscriber()) as gateway:
        gateway.backend.error = Overloaded("full", retry_after_s=7)
        async with gateway.client.post("/utterance", json=body(session_id="a")) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (503, "7")
        assert len(gateway.app[CONTEXTS]) == 0
        assert nothing_is_held(gateway)


async def test_a_deadline_is_a_504_and_the_work_ends(start: Start) -> None:
    async with start() as gateway:
        gateway.backend.gate.clear()
        status, answer = await say(gateway, session_id="a", timeout_s=0.05)
        assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")
        assert gateway.backend.cancelled == 1
        assert nothing_is_held(gateway)
        first = asyncio.create_task(say(gateway, session_id="a"))
        await gateway.backend.requests_are(2)
        assert (await say(gateway, session_id="a", timeout_s=0.05))[0] == 504
        gateway.backend.gate.set()
        assert (await first)[0] == 200


async def test_work_stops_when_the_client_leaves(gateway: Gateway) -> None:
    gateway.backend.gate.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await say(gateway, session_id="a")
    await eventually(lambda: gateway.backend.cancelled == 1)
    await eventually(lambda: nothing_is_held(gateway) and len(gateway.app[CONTEXTS]) == 0)


async def test_the_door_is_closed_while_draining_or_without_a_model(start: Start) -> None:
    backend = FakeTranscriber()
    backend.canary_error = ModelUnavailable("gone")
    async with start(backend) as gateway:
        async with gateway.client.post("/utterance", json=body()) as reply:
            assert (reply.status, int(reply.headers["Retry-After"]) >= 1) == (503, True)
        gateway.app[DRAINING].set()
        assert (await say(gateway))[1]["error"]["code"] == "shutting_down"


async def test_bodies_share_one_budget(start: Start) -> None:
    async with start(max_live_audio_mib=1, audio_budget_wait_s=0.1) as gateway:
        budget = gateway.app[LIVE].shared.budget
        budget.hold(budget.limit_bytes)
        status, answer = await say(gateway)
        assert (status, answer["error"]["code"]) == (503, "audio_budget")
        budget.hold(-budget.limit_bytes)
        assert (await say(gateway))[0] == 200


async def test_health_says_what_is_true(start: Start) -> None:
    backend = FakeTranscriber()
    async with start(backend, permits=2) as gateway:
        reply, told = await get(gateway, "/health")
        assert (reply.status, told["status"], told["model"]) == (200, "ok", "base")
        assert told["permits"] == {"limit": 2, "in_use": 0, "waiting": 0}
        backend.gate.clear()
        request = asyncio.create_task(say(gateway))
        await backend.requests_are(1)
        _, told = await get(gateway, "/health")
        assert (told["permits"]["in_use"], told["requests"]["inside"]) == (1, 1)
        backend.gate.set()
        await request
        gateway.app[STOPPING].set()
        reply, told = await get(gateway, "/health")
        assert (reply.status, told["checks"]["draining"]) == (503, "the service is stopping")


async def test_one_slow_body_times_out(start: Start) -> None:
    async with start(upload_idle_s=0.1) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            b"POST /utterance HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
audios = st.sampled_from([SECOND, b"", b"\1", bytes(5_000), b"\2\0ab", wav(0.2)]).map(
    lambda audio: base64.b64encode(audio).decode()
)
fields = st.fixed_dictionaries(
    {"audio": audios | values},
    optional={
        "audio_format": st.sampled_from(["pcm16", "opus", "wav", "mp3", "webm"]) | values,
        "sample_rate": st.sampled_from([8_000, 16_000, 48_000]) | values,
        "src_lang": st.sampled_from(["auto", "en", "xx"]) | values,
        "session_id": st.sampled_from(["a", "b"]) | values,
        **dict.fromkeys(("beam_size", "temperature", "patience", "padding_ms", "task", "filters", "timeout_s"), values),
        **dict.fromkeys(("use_text_context", "use_context_buffer", "condition_on_previous_text"), values),
    },
)


@settings(max_examples=60, deadline=None)
@given(requests=st.lists(fields | values, max_size=6))
def test_whatever_is_posted_is_answered_and_nothing_is_left(requests: list[object]) -> None:
    async def play() -> None:
        chosen = Settings(file_vad="none", file_max_utterance_ms=1_200, drain_s=1)
        async with listening(chosen, FakeTranscriber()) as gateway:
            for each in requests:
                async with gateway.client.post("/utterance", json=each) as reply:
                    assert reply.status in (200, 400, 422, 504)
            await eventually(lambda: nothing_is_held(gateway))

    asyncio.run(play())
