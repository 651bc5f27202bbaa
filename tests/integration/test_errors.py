import concurrent.futures
import re
import urllib.request
from pathlib import Path

import openai
import pytest

from gateway.api.replies import REPLIES
from tests.fixtures.bad_audio import BadFile, bad_files
from tests.integration.conftest import MAX_UPLOAD_BYTES, Server

SPEECH = Path(__file__).parent.parent / "fixtures" / "speech"
DOCTOR = SPEECH / "doctor.flac"
LEAKS = re.compile(r"Traceback|/(home|root|tmp|usr|work|opt)/|\.py\b|FFmpeg|Errno|TritonError")


def error_of(failure: openai.APIStatusError) -> tuple[int, str | None, str | None]:
    assert not LEAKS.search(failure.response.text)
    assert failure.response.headers["x-request-id"]
    return failure.status_code, failure.code, failure.param


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "gpt-4o-transcribe"}, (404, "model_not_found", "model")),
        ({"language": "fr"}, (400, "unsupported_language", "language")),
        ({"language": "klingon"}, (400, "unsupported_language", "language")),
        ({"prompt": "many words " * 300}, (400, "prompt_too_long", "prompt")),
        ({"temperature": 1.5}, (400, "invalid_parameter", "temperature")),
        ({"response_format": "xml"}, (400, "invalid_parameter", "response_format")),
        ({"include": ["logprobs"]}, (400, "unsupported_parameter", "include[]")),
        ({"extra_body": {"hotwords": "many words " * 300}}, (400, "prompt_too_long", "hotwords")),
        ({"extra_body": {"colour": "red"}}, (400, "unknown_parameter", "colour")),
        ({"extra_body": {"timeout_s": 0.001}}, (504, "deadline_exceeded", None)),
        (
            {"response_format": "srt", "timestamp_granularities": ["word"]},
            (400, "invalid_parameter", "timestamp_granularities[]"),
        ),
    ],
)
def test_what_can_not_be_honoured_is_refused(
    client: openai.OpenAI, options: dict[str, object], expected: tuple[int, str, str | None]
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(**{"model": "whisper-1", "file": DOCTOR, **options})  # type: ignore[call-overload]  # wrong on purpose
    assert error_of(caught.value) == expected


@pytest.mark.parametrize("bad", bad_files(), ids=lambda bad: bad.name)
def test_bad_audio_is_the_clients_fault(client: openai.OpenAI, bad: BadFile) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=("audio", bad.data))
    expected = {(REPLIES[kind].status, kind.code, "file") for kind in bad.errors}
    assert error_of(caught.value) in expected


def test_a_file_that_is_too_large(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=("audio.wav", b"RIFF" + bytes(MAX_UPLOAD_BYTES)))
    assert error_of(caught.value) == (413, "file_too_large", "file")


def test_a_bad_request_does_not_hurt_its_neighbours(client: openai.OpenAI) -> None:
    def ask(number: int) -> int:
        language = "fr" if number % 3 == 0 else "en"
        try:
            client.audio.transcriptions.create(model="whisper-1", file=DOCTOR, language=language)
        except openai.APIStatusError as failure:
            return failure.status_code
        return 200

    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        assert list(pool.map(ask, range(9))) == [400, 200, 200] * 3


def got(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def test_the_service_is_ready_after_all_that(server: Server) -> None:
    assert '"status":"ok"' in got(f"{server.url}/readyz")
    metrics = got(f"{server.url}/metrics")
    assert "tritone_requests_in_progress 0.0" in metrics
    assert "tritone_utterances_in_flight 0.0" in metrics
    assert not server.logged('"traceback"')
