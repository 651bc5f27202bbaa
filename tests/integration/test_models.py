import argparse
import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openai
import psutil
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from gateway.embedded.weights import fetch
from gateway.flags import from_args
from tests.fixtures.audio_files import SPEECH
from tests.integration.conftest import MODEL, Server, running, sdk
from tests.integration.test_recovery import until

LIBRARY = SPEECH / "library.flac"
OTHER = "second"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two models side by side: the same weights under another name."""
    folder = tmp_path_factory.mktemp("weights") / OTHER
    folder.symlink_to(fetch(MODEL, from_args(argparse.Namespace(), os.environ).cache_dir, print))
    with running(also=folder) as server:
        yield server


def got(server: Server, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answer:
        return json.load(answer)


def state_of(server: Server, model: str) -> str:
    state: str = got(server, f"/v1/models/{model}")["state"]
    return state


def tritone(server: Server, *arguments: str) -> str:
    port = server.url.rpartition(":")[2]
    command = [sys.executable, "-m", "gateway", "models", *arguments, "--port", port]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def heard(server: Server, model: str) -> str:
    with sdk(server) as client:
        text: str = client.audio.transcriptions.create(model=model, file=LIBRARY).text
        return text


def test_two_models_are_served_side_by_side(own: Server) -> None:
    listed = {entry["id"]: (entry["state"], entry["version"]) for entry in got(own, "/v1/models")["data"]}
    assert listed == dict.fromkeys((MODEL, "whisper-1", OTHER), ("ready", "1"))
    assert "library" in heard(own, MODEL)
    assert "library" in heard(own, OTHER)


def stubs(own: Server) -> set[int]:
    """The processes of the other model."""
    found = set()
    for child in psutil.Process(own.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that just ended
            if f"/models/{OTHER}/" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_one_is_unloaded_and_loaded_while_the_other_serves(own: Server) -> None:
    assert tritone(own, "unload", OTHER).split()[:4] == ["id", OTHER, "state", "unavailable"]
    with pytest.raises(openai.InternalServerError) as caught:
        heard(own, OTHER)
    assert (caught.value.status_code, caught.value.code) == (503, "model_unavailable")
    assert f"Ready now: {MODEL}, whisper-1." in caught.value.message
    assert "library" in heard(own, MODEL)
    tritone(own, "load", OTHER)
    assert "library" in heard(own, OTHER)


def test_a_reload_refuses_nothing(own: Server) -> None:
    before = stubs(own)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        reloading = pool.submit(tritone, own, "reload", OTHER)
        texts: list[str] = []
        while not reloading.done():
            texts += pool.map(heard, [own, own], [OTHER, OTHER])
    assert texts
    assert all("library" in text for text in texts)
    until(lambda: len(stubs(own)) == 1, own)
    assert stubs(own).isdisjoint(before)


def test_a_model_that_is_killed_leaves_the_other_alone(own: Server) -> None:
    (stub,) = stubs(own)
    os.kill(stub, signal.SIGKILL)
    until(lambda: state_of(own, OTHER) != "ready", own)
    assert state_of(own, MODEL) == "ready"
    assert "library" in heard(own, MODEL)
    until(lambda: state_of(own, OTHER) == "ready", own)
    assert "library" in heard(own, OTHER)


def test_a_fault_can_not_be_ordered_from_a_service_that_is_no_test(own: Server) -> None:
    audio = triton.InferInput("AUDIO", [1, 1600], "INT16")
    audio.set_data_from_numpy(np.zeros((1, 1600), np.int16))
    with triton.InferenceServerClient(own.triton) as client:
        infer: Callable[..., object] = client.infer
        with pytest.raises(InferenceServerException, match="tritone:unsupported_parameter:fault"):
            infer(MODEL, [audio], parameters={"fault": "exit"}, client_timeout=30)
