"""A real tritonserver with a model without weights: start, trial, crash, and an end that leaves nothing."""

import asyncio
import dataclasses
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from gateway.embedded.launch import LOOPBACK, Launch, free_ports, prepare_launch, triton_ports
from gateway.embedded.report import SetupError
from gateway.embedded.server import EmbeddedTriton
from gateway.embedded.wheel import TritonInstallation
from gateway.settings import Settings
from tests.embedded.leftovers import PATIENCE_S, processes_naming, regions_of, wait_all_gone

STANDIN = Path(__file__).parent / "standin"


@pytest.fixture
def launch(settings: Settings, installation: TritonInstallation, tmp_path: Path) -> Launch:
    return prepare_launch(settings, installation, {"standin": tmp_path}, tmp_path, source=STANDIN)


def nothing() -> None:
    """Triton is not lost in these tests."""


def model_that(tmp_path: Path, *, body: str) -> Path:
    """A copy of the stand-in with another `execute`, or with something that fails at import."""
    folder = tmp_path / "source"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text((STANDIN / "config.pbtxt").read_text())
    (folder / "1" / "model.py").write_text(body)
    return folder


async def until_ready(triton: EmbeddedTriton) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await answers(triton):
            pass


async def answers(triton: EmbeddedTriton) -> bool:
    async with aiohttp.ClientSession() as http:
        try:
            async with http.get(f"http://{LOOPBACK}:{triton.launch.http_port}/v2/models/standin/ready") as answer:
                return answer.ok
        except aiohttp.ClientConnectionError:
            return False


async def test_it_serves_within_the_block_and_leaves_nothing_behind(
    settings: Settings, launch: Launch, tmp_path: Path, said: list[str]
) -> None:
    async with EmbeddedTriton(launch, settings, on_lost=nothing, say=said.append) as triton:
        assert await answers(triton)
        assert regions_of(triton.supervisor_pid)
        processes = processes_naming(str(tmp_path))
        assert any("triton_python_backend_stub" in command for command in processes.values())
    wait_all_gone({*processes, triton.supervisor_pid})
    assert not regions_of(triton.supervisor_pid)
    assert not await answers(triton)
    assert said == [f"starting Triton with standin (log: {launch.log_path})"]


async def test_a_killed_tritonserver_comes_back(settings: Settings, launch: Launch, tmp_path: Path) -> None:
    crashed = asyncio.Event()

    def hear(text: str) -> None:
        if "SIGKILL" in text:
            crashed.set()

    async with EmbeddedTriton(launch, settings, on_lost=nothing, say=hear) as triton:
        before, regions = processes_naming(str(tmp_path)), regions_of(triton.supervisor_pid)
        os.kill(triton.triton_pid, signal.SIGKILL)
        await crashed.wait()
        wait_all_gone(before)
        await until_ready(triton)
        assert len(regions_of(triton.supervisor_pid)) == len(regions)
        assert triton.triton_pid not in before


async def test_a_killed_supervisor_takes_triton_along_and_is_reported(
    settings: Settings, launch: Launch, tmp_path: Path, said: list[str]
) -> None:
    lost = asyncio.Event()
    async with EmbeddedTriton(launch, settings, on_lost=lost.set, say=said.append) as triton:
        processes = processes_naming(str(tmp_path))
        os.kill(triton.supervisor_pid, signal.SIGKILL)
        await lost.wait()
    assert triton.lost
    wait_all_gone(processes)
    assert not regions_of(triton.supervisor_pid)
    assert said[-1] == "the supervisor of Triton is gone, and Triton with it"


async def test_a_model_that_can_not_load_is_told_with_the_end_of_the_log(
    settings: Settings, installation: TritonInstallation, tmp_path: Path, said: list[str]
) -> None:
    source = model_that(tmp_path, body="raise RuntimeError('no weights here')\n")
    launch = prepare_launch(settings, installation, {"broken": tmp_path}, tmp_path / "run", source=source)
    with pytest.raises(SetupError, match="could not start") as caught:
        async with EmbeddedTriton(launch, settings, on_lost=nothing, say=said.append):
            pass
    assert any("no weights here" in line for line in caught.value.details)
    wait_all_gone(processes_naming(str(tmp_path)))


async def test_an_empty_answer_is_blamed_on_numpy(
    settings: Settings, installation: TritonInstallation, tmp_path: Path, said: list[str]
) -> None:
    body = (STANDIN / "1" / "model.py").read_text().replace(".encode(), np.uint8)", ".encode(), np.uint8)[:0]")
    launch = prepare_launch(
        settings, installation, {"empty": tmp_path}, tmp_path / "run", source=model_that(tmp_path, body=body)
    )
    with pytest.raises(SetupError, match="numpy<2"):
        async with EmbeddedTriton(launch, settings, on_lost=nothing, say=said.append):
            pass


async def test_a_start_that_takes_too_long_is_given_up(
    settings: Settings, launch: Launch, tmp_path: Path, said: list[str]
) -> None:
    hasty = dataclasses.replace(settings, triton_ready_timeout_s=0.001)
    with pytest.raises(SetupError, match=r"not ready after 0.001 s"):
        async with EmbeddedTriton(launch, hasty, on_lost=nothing, say=said.append):
            pass
    wait_all_gone(processes_naming(str(tmp_path)))


async def test_cancelling_the_start_leaves_nothing(settings: Settings, launch: Launch, tmp_path: Path) -> None:
    starting = asyncio.Event()

    async def start() -> None:
        async with EmbeddedTriton(launch, settings, on_lost=nothing, say=lambda _: starting.set()):
            pass

    task = asyncio.create_task(start())
    await starting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wait_all_gone(processes_naming(str(tmp_path)))


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        found = free_ports(port, port)
    assert port not in found
    assert len(set(found)) == 2


def test_two_starts_do_not_get_the_same_ports(tmp_path: Path) -> None:
    with triton_ports(tmp_path, avoid=8001) as first, triton_ports(tmp_path, avoid=9000) as second:
        assert 8001 not in first
        assert not set(first) & set(second)
        assert len({*first, *second}) == 6


def test_the_stub_gets_no_setting_of_the_gateway(
    settings: Settings, installation: TritonInstallation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITONE_PERMITS", "3")
    overriding = dataclasses.replace(settings, compute_type="float32", model_workers=1)
    launch = prepare_launch(overriding, installation, {"standin": tmp_path}, tmp_path, source=STANDIN)
    passed = {name: value for name, value in launch.environment.items() if name.startswith("TRITONE_")}
    assert passed == {
        "TRITONE_WEIGHTS_DIR": str(tmp_path / "weights"),
        "TRITONE_COMPUTE_TYPE": "float32",
        "TRITONE_WORKERS": "1",
        "TRITONE_HANG_LIMIT_S": "60.0",
    }
