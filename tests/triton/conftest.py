import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.telemetry import Telemetry
from gateway.triton.health import Changes
from gateway.triton.keeper import Keeper
from tests.fakes import FakeTranscriber, warden_limits


@pytest.fixture
def unused_address() -> Iterator[str]:
    """An address that is taken, and where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def keeper_of(backend: FakeTranscriber, *, wanted: bool = True, **limits: Any) -> Keeper:
    return Keeper("base", backend, Telemetry(), warden_limits(**limits).keeper, Changes(), wanted=wanted)


@pytest.fixture
def backend() -> FakeTranscriber:
    return FakeTranscriber()


@pytest.fixture
async def keeper(backend: FakeTranscriber) -> Keeper:
    keeper = keeper_of(backend)
    await keeper.check()
    assert keeper.health.problem is None
    return keeper


@asynccontextmanager
async def running(keeper: Keeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
