import asyncio

import pytest

from gateway.core.errors import Overloaded
from gateway.live.budget import AudioBudget
from gateway.telemetry import Telemetry


async def test_who_wants_to_hold_more_waits_for_room() -> None:
    budget = AudioBudget(Telemetry().live, limit_bytes=10, wait_s=30)
    budget.hold(9)
    await budget.room()
    budget.hold(1)
    waiting = asyncio.create_task(budget.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.hold(-1)
    await waiting
    assert budget.held_bytes == 9


async def test_waiting_ends_in_a_typed_error() -> None:
    budget = AudioBudget(Telemetry().live, limit_bytes=10, wait_s=0.01)
    budget.hold(20)
    with pytest.raises(Overloaded):
        await budget.room()
