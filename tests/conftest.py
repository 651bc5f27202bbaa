"""Fixtures for every kind of test."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes import FakeTranscriber
    from tests.serving import Gateway, Start


@pytest.fixture
def start() -> "Start":
    """Starts a gateway with other settings: `async with start(max_requests=1) as gateway`."""
    # The core's tests need no server, and should not wait for its packages.
    from gateway.settings import Settings  # noqa: PLC0415
    from tests.fakes import FakeTranscriber  # noqa: PLC0415
    from tests.serving import listening  # noqa: PLC0415

    def start_with(
        backend: "FakeTranscriber | None" = None, **settings: object
    ) -> "AbstractAsyncContextManager[Gateway]":
        # Cut by length alone, every second: what is sent to the model is then known without a detector.
        chosen = {"file_vad": "none", "file_max_utterance_ms": 1200, "drain_s": 1.0, **settings}
        return listening(Settings(**chosen), backend or FakeTranscriber())  # type: ignore[arg-type]  # tests choose well

    return start_with


@pytest.fixture
async def gateway(start: "Start") -> "AsyncIterator[Gateway]":
    """A gateway with a model that answers everything."""
    async with start() as running:
        yield running
