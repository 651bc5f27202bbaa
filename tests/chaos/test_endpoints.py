"""One of two tritonservers is lost under load: nothing that was accepted is."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import psutil
import pytest
import tritonclient.grpc as triton

from gateway.embedded.launch import prepare_launch
from gateway.embedded.server import EmbeddedTriton
from gateway.embedded.weights import fetch
from gateway.embedded.wheel import install_triton
from gateway.settings import Settings
from tests.chaos.conftest import STUB, WITHIN_S, Asked, Service, until
from tests.integration.conftest import MODEL, running

CLIENTS = 6


@dataclass
class Pair:
    """A gateway alone, and the two supervised Tritons behind it."""

    service: Service
    tritons: list[EmbeddedTriton]

    async def states(self) -> dict[str, str]:
        """What /readyz says of each, while it says that requests would be served."""
        async with self.service.http.get("/readyz") as answer:
            assert answer.status == 200
            states: dict[str, str] = (await answer.json())["endpoints"]
            return states

    async def serves(self, number: int) -> bool:
        """Whether that Triton has something to do now."""
        address = self.tritons[number].grpc_address
        return await self.service.metric(f'tritone_endpoint_in_flight{{endpoint="{address}"}}') > 0

    async def is_ok(self, number: int) -> bool:
        """Whether that Triton may be asked."""
        return (await self.states())[self.tritons[number].grpc_address] == "ok"

    async def is_away(self, number: int) -> bool:
        """Whether it may not."""
        return not await self.is_ok(number)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    settings = Settings(model=MODEL, model_workers=1)
    settings = replace(settings, cache_dir=settings.cache_dir.expanduser())
    installation = install_triton(settings.cache_dir, print)
    weights = {MODEL: fetch(MODEL, settings.cache_dir, print)}
    async with AsyncExitStack() as stack:
        tritons = []
        for name in ("one", "two"):
            # One after the other, so that the second finds the first one's ports taken.
            launch = prepare_launch(settings, installation, weights, tmp_path / name)
            embedded = EmbeddedTriton(launch, settings, on_lost=lambda: None, say=print)
            tritons.append(await stack.enter_async_context(embedded))
        addresses = ",".join(embedded.grpc_address for embedded in tritons)
        server = stack.enter_context(running("serve", triton=addresses, warden="on", drain_s=5))
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        http = await stack.enter_async_context(aiohttp.ClientSession(server.url, timeout=timeout))
        injecting = stack.enter_context(triton.InferenceServerClient(tritons[0].grpc_address))
        yield Pair(Service(server, http, injecting), tritons)


async def answers_more(asked: Asked, count: int) -> None:
    answered = asked.statuses[200]
    await until(lambda: asked.statuses[200] >= answered + count)


@pytest.mark.parametrize("part", ["tritonserver", STUB])
async def test_the_loss_of_one_of_two_is_not_noticed(pair: Pair, part: str) -> None:
    async with pair.service.under_load(CLIENTS) as asked:
        for number in (0, 1):
            await until(lambda: pair.serves(number))  # noqa: B023 - awaited within the turn
        lost = pair.tritons[0].triton_pid
        if part == STUB:
            (lost,) = [child.pid for child in psutil.Process(lost).children() if child.name() == STUB]
        os.kill(lost, signal.SIGKILL)
        await until(lambda: pair.is_away(0))
        assert await pair.is_ok(1)
        await answers_more(asked, CLIENTS)
        await until(lambda: pair.is_ok(0))
        await until(lambda: pair.serves(0))
        await answers_more(asked, CLIENTS)
    print(f"one of two lost its {part}: {sum(asked.statuses.values())} requests, {dict(asked.statuses)}")
    assert set(asked.statuses) == {200}
    assert asked.lost == []
