import concurrent.futures
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import psutil
import pytest
from tritonclient.grpc import InferenceServerClient

from tests.integration.conftest import MODEL, Server, running, sdk

SPEECH = Path(__file__).parent.parent / "fixtures" / "speech"
LIBRARY = SPEECH / "library.flac"
WITHIN_S = 60


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server of these tests alone: they kill parts of it."""
    with running(canary_interval_s=1, canary_timeout_s=2, drain_s=20) as server:
        yield server


def ready(server: Server) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=10) as answer:
            return 200, json.load(answer)["checks"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["checks"]


def until(condition: Callable[[], bool], server: Server) -> None:
    """Waits for what another process does."""
    ends_at_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < ends_at_s, server.log
        time.sleep(0.05)


def until_ready_is(server: Server, status: int) -> dict[str, str]:
    until(lambda: ready(server)[0] == status, server)
    return ready(server)[1]


def in_flight(server: Server) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return float(text.split("\ntritone_utterances_in_flight ")[1].split(maxsplit=1)[0])


def part_of(server: Server, name: str) -> psutil.Process:
    found = [child for child in psutil.Process(server.process.pid).children(recursive=True) if child.name() == name]
    assert found
    return found[0]


def test_readiness_follows_a_triton_that_is_killed_and_comes_back(own: Server) -> None:
    assert ready(own)[0] == 200
    part_of(own, "tritonserver").kill()
    assert until_ready_is(own, 503)["model"] != "ok"
    with sdk(own) as client, pytest.raises(openai.InternalServerError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=LIBRARY)
    assert (caught.value.status_code, caught.value.code) == (503, "model_unavailable")
    assert caught.value.response.headers["Retry-After"]
    until_ready_is(own, 200)
    with sdk(own) as client:
        assert "library" in client.audio.transcriptions.create(model="whisper-1", file=LIBRARY).text


def test_a_triton_that_hangs_ends_in_504_and_closes_the_door(own: Server) -> None:
    triton = part_of(own, "tritonserver")
    triton.suspend()
    try:
        with sdk(own) as client, pytest.raises(openai.InternalServerError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=LIBRARY, extra_body={"timeout_s": 1})
        assert (caught.value.status_code, caught.value.code) == (504, "deadline_exceeded")
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert until_ready_is(own, 503)["model"] == "the model failed its check: deadline_exceeded"
    finally:
        triton.resume()
    until_ready_is(own, 200)


def test_a_client_that_hangs_up_mid_upload_leaves_a_log_line(own: Server) -> None:
    host, port = own.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nx-request-id: gone-1\r\n"
            b"Content-Type: multipart/form-data; boundary=sep\r\n\r\n--sep\r\n"
            b'Content-Disposition: form-data; name="file"\r\n\r\n' + bytes(1000)
        )
        # Its answer means that the server has turned to this connection's bytes as well.
        assert ready(own)[0] == 200
    until(lambda: any('"status":499' in line for line in own.logged("gone-1")), own)


def test_a_burst_is_batched(own: Server) -> None:
    def counts() -> tuple[int, int]:
        with InferenceServerClient(own.triton) as triton:
            statistics = triton.get_inference_statistics(MODEL).model_stats[0]
        return statistics.inference_count, statistics.execution_count

    before = counts()
    files = sorted(SPEECH.glob("*.flac"))
    # Stopped, Triton finds them all at once when it goes on: a burst whatever the speed of this machine.
    triton = part_of(own, "tritonserver")
    triton.suspend()
    with sdk(own) as client, concurrent.futures.ThreadPoolExecutor(len(files)) as pool:
        try:
            asked = [pool.submit(client.audio.transcriptions.create, model="whisper-1", file=file) for file in files]
            until(lambda: in_flight(own) >= len(files), own)
        finally:
            triton.resume()
        answers = [answer.result() for answer in asked]
    assert all(answer.text for answer in answers)
    utterances, batches = (after - start for after, start in zip(counts(), before, strict=True))
    assert utterances >= len(files)
    assert batches < utterances


def test_an_open_request_is_answered_while_stopping() -> None:
    with running(drain_s=30) as server, sdk(server) as client, concurrent.futures.ThreadPoolExecutor(4) as pool:
        until_ready_is(server, 200)
        triton = part_of(server, "tritonserver")
        triton.suspend()
        open_request = pool.submit(client.audio.transcriptions.create, model="whisper-1", file=LIBRARY)
        try:
            until(lambda: in_flight(server) > 0, server)
            os.kill(server.process.pid, signal.SIGTERM)
            until(lambda: bool(server.logged("stopping")), server)
        finally:
            triton.resume()
        assert "library" in open_request.result().text
        assert server.process.wait(WITHIN_S) == 0
