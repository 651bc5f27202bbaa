import asyncio

import pytest

from gateway.api.keys import ADMISSION, DRAINING
from gateway.core import errors
from gateway.core.audio import Filtered, Task
from gateway.triton.wire import parameters_of
from tests.fakes import FakeTranscriber
from tests.serving import Gateway, Start, form, health_of, post, wav


async def test_json_joins_the_pieces_in_order(gateway: Gateway) -> None:
    reply, body = await post(gateway, form(wav(3.0)))
    pieces = len(gateway.backend.requests)
    assert reply.status == 200
    assert pieces > 1
    assert body == {
        "text": " ".join(f"piece {number}" for number in range(pieces)),
        "usage": {"type": "duration", "seconds": 3},
    }


async def test_verbose_json_is_on_the_clock_of_the_file(gateway: Gateway) -> None:
    _, body = await post(gateway, form(wav(3.0), response_format="verbose_json"))
    assert body["task"] == "transcribe"
    assert body["language"] == "english"
    assert body["duration"] == 3.0
    starts = [segment["start"] for segment in body["segments"]]
    assert starts == sorted(starts)
    assert starts[-1] > 1.0
    assert [segment["id"] for segment in body["segments"]] == list(range(len(starts)))
    assert {
        "seek",
        "end",
        "text",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
    } <= set(body["segments"][0])
    assert gateway.backend.requests[0][2].timestamps


async def test_text_srt_and_vtt(gateway: Gateway) -> None:
    reply, text = await post(gateway, form(wav(0.5), response_format="text"))
    assert (reply.content_type, text) == ("text/plain", "piece 0\n")
    reply, text = await post(gateway, form(wav(0.5), response_format="srt"))
    assert text == "1\n00:00:00,000 --> 00:00:00,500\npiece 1\n\n"
    reply, text = await post(gateway, form(wav(0.5), response_format="vtt"))
    assert text == "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\npiece 2\n\n"
    assert reply.content_type == "text/vtt"


async def test_options_reach_the_model(gateway: Gateway) -> None:
    data = form(wav(0.5), language="EN", prompt="Tritone", beam_size="5", temperature="0.2", no_speech_threshold="0.5")
    await post(gateway, data, headers={"x-request-id": "mine-1"})
    request_id, model, options, samples = gateway.backend.requests[0]
    assert (request_id, model, samples) == ("mine-1-0", "base", 8000)
    assert (options.language, options.prompt, options.beam_size) == ("en", "Tritone", 5)
    assert (options.temperature, options.no_speech_threshold, options.timestamps) == (0.2, 0.5, False)


async def test_translations_ask_for_english(gateway: Gateway) -> None:
    _, body = await post(gateway, form(wav(0.5), response_format="verbose_json"), url="/v1/audio/translations")
    assert gateway.backend.requests[0][2].task is Task.TRANSLATE
    assert body["task"] == "translate"


async def test_fan_out_is_bounded_and_an_utterance_keeps_one_permit(start: Start) -> None:
    async with start(file_fan_out=3) as gateway:
        gateway.backend.gate.clear()
        async with asyncio.TaskGroup() as group:
            replying = group.create_task(post(gateway, form(wav(8.0), language="en")))
            await gateway.backend.requests_are(3)
            assert gateway.app[ADMISSION].in_flight == 3
            gateway.backend.gate.set()
            reply, _ = await replying
            assert reply.status == 200
        assert gateway.backend.most_in_flight == 3
        assert gateway.app[ADMISSION].in_flight == 0


async def test_the_first_utterances_decide_the_language_of_the_file(gateway: Gateway) -> None:
    gateway.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        replying = group.create_task(post(gateway, form(wav(5.0))))
        await gateway.backend.requests_are(2)
        gateway.backend.gate.set()
        await replying
    assert [options.language for _, _, options, _ in gateway.backend.requests][:2] == [None, None]
    assert {options.language for _, _, options, _ in gateway.backend.requests[2:]} == {"en"}


async def test_each_utterance_is_prompted_with_the_one_before_on_request(gateway: Gateway) -> None:
    reply, _ = await post(gateway, form(wav(3.0), condition_on_previous_text="true", prompt="Tritone."))
    assert reply.status == 200
    assert [options.prompt for _, _, options, _ in gateway.backend.requests] == [
        *("Tritone.", "Tritone. piece 0", "Tritone. piece 1", "Tritone. piece 2")
    ]
    assert gateway.backend.most_in_flight == 1


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (errors.BadRequest("x", code="prompt_too_long", param="prompt"), 400, "prompt_too_long", None),
        (errors.Overloaded("x", retry_after_s=2.5), 503, "overloaded", "true"),
        (errors.DeadlineExceeded("x"), 504, "deadline_exceeded", "false"),
        (errors.ModelUnavailable("x"), 503, "model_unavailable", "true"),
        (errors.ModelFailed("x"), 502, "model_failed", "false"),
        (ZeroDivisionError("a secret"), 500, "internal_error", "false"),
    ],
)
async def test_a_failing_model_is_told_in_openais_form(
    gateway: Gateway, error: Exception, status: int, code: str, retry: str | None
) -> None:
    gateway.backend.error = error
    reply, body = await post(gateway, form(wav(3.0)))
    assert reply.status == status
    assert set(body) == {"error"}
    assert body["error"]["code"] == code
    assert reply.headers.get("x-should-retry") == retry
    assert ("Retry-After" in reply.headers) == (status == 503)
    assert "secret" not in str(body)
    assert gateway.backend.in_flight == 0
    assert gateway.app[ADMISSION].requests == 0


@pytest.mark.parametrize("url", ["/v1/audio/transcriptions", "/v1/audio/translations", "/utterance", "/reset"])
async def test_what_stands_in_the_address_is_refused_and_not_ignored(gateway: Gateway, url: str) -> None:
    reply, body = await post(gateway, form(wav(0.5)), f"{url}?language=fr&stream=true")
    assert (reply.status, body["error"]["code"], body["error"]["param"]) == (400, "unknown_parameter", "language")
    assert gateway.app[ADMISSION].requests == 0


async def test_the_languages_to_choose_from_reach_the_model(gateway: Gateway) -> None:
    reply, _ = await post(gateway, form(wav(0.5), **{"languages[]": ["de", "fr"], "keywords[]": ["Ada", "Bach"]}))
    assert reply.status == 200
    options = gateway.backend.requests[0][2]
    assert (options.language, options.languages, options.hotwords) == (None, ("de", "fr"), "Ada, Bach")
    assert parameters_of(options).items() >= {"languages": "de,fr", "hotwords": "Ada, Bach"}.items()


async def test_an_unknown_model_is_not_found(gateway: Gateway) -> None:
    reply, body = await post(gateway, form(wav(0.5), model="gpt-4o-transcribe"))
    assert (reply.status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")


async def test_another_served_model_can_be_asked_for(start: Start) -> None:
    backend = FakeTranscriber()
    backend.models = ("base", "tiny.en")
    async with start(backend) as gateway:
        reply, _ = await post(gateway, form(wav(0.5), model="tiny.en"))
        assert reply.status == 200
        assert backend.requests[0][1] == "tiny.en"


async def test_a_deadline_of_the_client_counts(gateway: Gateway) -> None:
    gateway.backend.gate.clear()
    reply, body = await post(gateway, form(wav(0.5), timeout_s="0.05"))
    assert (reply.status, body["error"]["code"]) == (504, "deadline_exceeded")
    assert gateway.backend.cancelled == 1


async def test_the_door_is_closed_when_full_draining_or_without_a_model(start: Start) -> None:
    async with start(max_requests=1) as gateway:
        with gateway.app[ADMISSION].enter():
            reply, body = await post(gateway, form(wav(0.5)))
            assert (reply.status, body["error"]["code"]) == (503, "overloaded")
        gateway.backend.canary_error = errors.ModelUnavailable("gone")
        health_of(gateway).failed(errors.ModelUnavailable("gone"))
        reply, body = await post(gateway, form(wav(0.5)))
        assert (reply.status, body["error"]["code"]) == (503, "model_unavailable")
        gateway.app[DRAINING].set()
        reply, body = await post(gateway, form(wav(0.5)))
        assert (reply.status, body["error"]["code"]) == (503, "shutting_down")


@pytest.mark.parametrize(
    ("audio", "status", "code"),
    [
        (b"", 400, "invalid_audio"),
        (b"This is a letter and no audio at all. " * 40, 415, "unsupported_audio"),
        (wav(0.5)[:20], 400, "invalid_audio"),
    ],
)
async def test_bad_audio(gateway: Gateway, audio: bytes, status: int, code: str) -> None:
    reply, body = await post(gateway, form(audio))
    assert (reply.status, body["error"]["code"], body["error"]["param"]) == (status, code, "file")


async def test_audio_may_be_too_long_in_seconds(start: Start) -> None:
    async with start(max_audio_s=2.0) as gateway:
        reply, body = await post(gateway, form(wav(5.0)))
        assert (reply.status, body["error"]["code"]) == (413, "audio_too_long")
        assert gateway.backend.in_flight == 0


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
async def test_what_a_filter_takes_out_is_told(gateway: Gateway, response_format: str) -> None:
    gateway.backend.text = "So uh, we left"
    _, plain = await post(gateway, form(wav(0.5), response_format=response_format))
    assert plain["text"] == "So uh, we left"
    assert not plain.keys() & {"filtered", "quality"}
    asked = form(wav(0.5), response_format=response_format, filters="fillers", quality="true")
    _, honest = await post(gateway, asked)
    assert (honest["text"], honest["filtered"]) == ("So we left", [{"reason": "fillers", "text": "uh,"}])
    assert honest["quality"] == {"level": "good", "reason_codes": []}
    _, events = await post(gateway, form(wav(0.5), stream="true", filters="fillers"))
    assert "uh" not in events.replace('"filtered":[{"reason":"fillers","text":"uh,"}]', "")


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
async def test_a_format_without_a_place_for_it_says_in_a_header_that_something_is_left_out(
    gateway: Gateway, response_format: str
) -> None:
    reply, _ = await post(gateway, form(wav(2.0), response_format=response_format))
    assert "x-filtered" not in reply.headers
    gateway.backend.left_out = Filtered("cut_off", "")
    reply, _ = await post(gateway, form(wav(2.0), response_format=response_format))
    assert reply.headers["x-filtered"] == "cut_off"


async def test_what_the_model_left_out_is_told_too(gateway: Gateway) -> None:
    gateway.backend.left_out = Filtered("no_speech", "Thank you.")
    _, told = await post(gateway, form(wav(0.5)))
    assert told["filtered"] == [{"reason": "no_speech", "text": "Thank you."}]
