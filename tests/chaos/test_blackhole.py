"""A Triton that answers nothing at all: everything ends with its deadline, and nothing is left."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from gateway.api.keys import ADMISSION
from gateway.settings import Settings
from gateway.triton import client
from gateway.triton.client import TritonTranscriber
from tests.chaos.conftest import Service, until
from tests.chaos.proxy import Proxy, proxy_to
from tests.fakes import FakeTranscriber
from tests.fixtures.audio_files import SPEECH
from tests.integration.conftest import MODEL
from tests.serving import Gateway, form, listening, post

REQUESTS = 20
TIMEOUT_S = 2.0
# The promise is half a second; this machine may be busy with other tests.
PATIENCE_S = 10.0
# The dead connection is found out soon, though not before the requests are over; and by the keepalive alone, where a
# ping that measures the bandwidth may happen to be under way.
_HASTY = {
    "grpc.keepalive_time_ms": 2_000,
    "grpc.keepalive_timeout_ms": 4_000,
    "grpc.http2.ping_timeout_ms": 4_000,
    "grpc.http2.bdp_probe": 0,
}
CLIP = (SPEECH / "train.flac").read_bytes()


@pytest.fixture
async def proxy(service: Service) -> AsyncIterator[Proxy]:
    async with proxy_to(service.server.triton) as proxy:
        yield proxy


@pytest.fixture
async def gateway(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A gateway in this process, so that its tasks can be counted, with a real Triton behind the proxy."""
    hasty = dict(client._CHANNEL_ARGS) | _HASTY
    assert hasty.keys() == dict(client._CHANNEL_ARGS).keys() | {"grpc.http2.bdp_probe"}
    monkeypatch.setattr(client, "_CHANNEL_ARGS", list(hasty.items()))
    settings = Settings(model=MODEL, triton=proxy.address, canary_interval_s=60, canary_timeout_s=1, drain_s=1)
    transcriber = TritonTranscriber(proxy.address)
    async with listening(settings, cast(FakeTranscriber, transcriber)) as gateway:
        yield gateway


async def test_everything_ends_with_its_deadline_and_leaves_nothing(gateway: Gateway, proxy: Proxy) -> None:
    async def ask() -> tuple[int, float]:
        began_at_s = time.monotonic()
        # A connection of its own: one that is kept has a task, and may close just as it is used again.
        reply, _ = await post(gateway, form(CLIP, timeout_s=str(TIMEOUT_S)), headers={"Connection": "close"})
        return reply.status, time.monotonic() - began_at_s

    assert (await ask())[0] == 200
    tasks = len(asyncio.all_tasks())
    proxy.vanish()
    ended = await asyncio.gather(*(ask() for _ in range(REQUESTS)))
    print(f"slowest end: {max(elapsed_s for _, elapsed_s in ended) - TIMEOUT_S:.2f} s after its deadline")
    statuses = Counter(status for status, _ in ended)
    # Of those that would have to wait in line some are refused at once: by what the first took they would be late.
    assert set(statuses) <= {503, 504}
    assert statuses[504] >= gateway.app[ADMISSION].limits.permits
    assert all(elapsed_s < TIMEOUT_S + PATIENCE_S for _, elapsed_s in ended)
    admission = gateway.app[ADMISSION]
    assert (admission.requests, admission.in_flight, admission.waiting, admission.waiting_audio_s) == (0, 0, 0, 0.0)
    await until(no_more_than(tasks))
    proxy.restore()

    async def answered() -> bool:
        return (await ask())[0] == 200

    await until(answered)


def no_more_than(tasks: int) -> Callable[[], bool]:
    # One pulse or canary may be under way, each with a few tasks of grpc's.
    return lambda: len(asyncio.all_tasks()) <= tasks + 4
