"""Malformed input at the real thing: no answer is a 5xx, and the model's process is the one it was."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.integration.conftest import Server
from tests.live.talking import REALTIME, SECOND, STREAM
from tests.malformed import cases
from tests.malformed.asking import answer

# Loading and unloading are orders, which change the model's process because they are obeyed.
ORDERS = "/(load|unload|reload)$"
CLOSE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013}


def model_processes(server: Server) -> list[int]:
    family = psutil.Process(server.process.pid).children(recursive=True)
    return sorted(child.pid for child in family if child.name().startswith("triton_python"))


@pytest.fixture(autouse=True)
def address(server: Server) -> Iterator[str]:
    address = server.url.removeprefix("http://")
    before, logged = model_processes(server), len(server.logged('"traceback"'))
    assert before
    yield address
    assert model_processes(server) == before
    assert len(server.logged('"traceback"')) == logged
    assert answer(address, "GET", "/readyz", b"", {})[0] == 200


def test_schemathesis_finds_nothing(server: Server, address: str, tmp_path: Path) -> None:
    document = json.loads(answer(address, "GET", "/openapi.json", b"", {})[1])
    for door in ("transcriptions", "translations"):
        content = document["paths"][f"/v1/audio/{door}"]["post"]["requestBody"]["content"]
        # Whoever asks for a millisecond gets the 504 that it asks for.
        del content["multipart/form-data"]["schema"]["properties"]["timeout_s"]
    # And whoever asks for minutes of tracing gets them.
    tracing = document["paths"]["/debug/memory"]["get"]
    tracing["parameters"] = [one for one in tracing["parameters"] if one["name"] != "trace_s"]
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", server.url]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(20 * cases.TIMES)]
    # Bytes that are valid to a schema are hardly ever audio.
    command += ["--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", ORDERS]
    command += ["--suppress-health-check", "all", "--no-color"]
    if cases.TIMES == 1:
        command += ["--seed", "1"]  # as hypothesis is told in pyproject.toml
    hooks = {"SCHEMATHESIS_HOOKS": "tests.malformed.schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | hooks,
        capture_output=True,
        text=True,
        timeout=170 * cases.TIMES,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@cases.cases(150)
@given(form=cases.forms(cases.model_fields), door=st.sampled_from(("transcriptions", "translations")))
def test_forms_with_damaged_sound(address: str, form: tuple[str, bytes], door: str) -> None:
    kind, body = form
    status, said = answer(address, "POST", f"/v1/audio/{door}", body, {"Content-Type": kind})
    assert status < 500, said
    if status != 200:
        assert json.loads(said)["error"]["code"]


@pytest.mark.parametrize(
    ("url", "messages"), [(STREAM + SECOND, cases.stream_messages), (REALTIME, cases.realtime_messages)]
)
@cases.cases(40)
@given(data=st.data())
def test_live_messages(address: str, url: str, messages: st.SearchStrategy[object], data: st.DataObject) -> None:
    with connect(f"ws://{address}{url}", max_size=None, max_queue=None, open_timeout=30, close_timeout=30) as socket:
        with suppress(ConnectionClosed):
            for said in data.draw(cases.steps(messages)):
                socket.send(said)
        socket.close()
    assert socket.close_code in CLOSE_CODES
