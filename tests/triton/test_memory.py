import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from gateway.core.recovery import Sign
from gateway.telemetry import Telemetry
from gateway.triton.health import Changes
from gateway.triton.memory import machine_bytes, resident_bytes
from gateway.triton.warden import Warden
from tests.fakes import FakeTranscriber, warden_limits
from tests.serving import eventually

PAGE = """# HELP tritone_model_resident_bytes Resident memory of the model's process
# TYPE tritone_model_resident_bytes gauge
tritone_model_resident_bytes{model="base"} %d
tritone_model_resident_bytes{model="tiny.en"} 2.5e+08
nv_cpu_utilization 0.5
"""


class Page:
    """Triton's metrics page."""

    def __init__(self) -> None:
        self.address = ""
        self.base_bytes = 500


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    page = Page()

    async def metrics(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in (PAGE % page.base_bytes).splitlines(keepends=True):
            await answer.write(line.encode())
            await asyncio.sleep(0.01)  # in several packets
        return answer

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    page.address = f"127.0.0.1:{listener.getsockname()[1]}"
    await web.SockSite(runner, listener).start()
    yield page
    await runner.cleanup()


async def test_the_sizes_are_read_from_tritons_page(page: Page) -> None:
    assert await resident_bytes(page.address) == {"base": 500, "tiny.en": 250_000_000}


async def test_a_page_without_an_end_is_an_os_error(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.triton.memory._MAX_PAGE_BYTES", 99)
    with pytest.raises(OSError, match="too long"):
        await resident_bytes(page.address)


async def test_a_page_that_is_not_there_is_an_os_error(unused_address: str) -> None:
    with pytest.raises(OSError, match="connect"):
        await resident_bytes(unused_address)


async def test_the_warden_weighs_and_replaces(page: Page) -> None:

    backend = FakeTranscriber()
    warden = Warden(backend, Telemetry(), warden_limits(metrics_address=page.address), Changes())
    await warden.check()
    task = asyncio.create_task(warden.run())
    await eventually(lambda: warden.keeper("base").resident_bytes == 500)
    page.base_bytes = 1500
    await eventually(lambda: backend.orders == [("replace", "base")])
    task.cancel()
    await asyncio.wait([task])
    assert backend.sign is Sign.ALIVE


def test_a_container_has_no_more_than_its_limit(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    total = psutil.virtual_memory().total
    assert machine_bytes(limit) == total
    limit.write_text("max\n")
    assert machine_bytes(limit) == total
    limit.write_text("1000000\n")
    assert machine_bytes(limit) == 1_000_000
