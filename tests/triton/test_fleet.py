import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.core import errors
from gateway.core.admission import Permit
from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions
from gateway.core.deadline import Deadline
from gateway.core.recovery import Sign
from gateway.telemetry import Telemetry
from gateway.triton import addresses
from gateway.triton.addresses import Place
from gateway.triton.fleet import Fleet
from tests.fakes import FakeTranscriber, fleet_limits
from tests.serving import eventually

GONE = errors.ModelUnavailable("gone")
AUDIO = np.zeros(SAMPLE_RATE_HZ, np.int16)


class Tritons:
    """Several of them by address, and the fleet over them."""

    def __init__(self, *names: str, **limits: object) -> None:
        self.by_address = {name: FakeTranscriber(address=name) for name in names}
        self.telemetry = Telemetry()
        self.fleet = Fleet(self.connect, self.telemetry, fleet_limits(triton=",".join(names), **limits))  # type: ignore[arg-type]  # tests choose well

    def connect(self, address: str) -> FakeTranscriber:
        return self.by_address.setdefault(address, FakeTranscriber(address=address))

    async def checked(self) -> Fleet:
        await self.fleet.find()
        await self.fleet.check()
        return self.fleet

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fleet]:
        task = asyncio.create_task((await self.checked()).run())
        try:
            yield self.fleet
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()

    def value(self, name: str, address: str) -> float | None:
        labels = {"endpoint": address} | ({"model": "base"} if name == "tritone_model_ready" else {})
        return self.telemetry.registry.get_sample_value(name, labels)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """What the names stand for; a test changes it."""
    found: list[Place] = []

    async def places(_: addresses.Directory) -> tuple[Place, ...]:
        return tuple(found)

    monkeypatch.setattr(addresses.Directory, "places", places)
    return found


async def ask(fleet: Fleet, model: str = "base") -> None:
    async with fleet.asking(model) as transcriber:
        permit = Permit(lambda: None)
        await transcriber.transcribe(
            AUDIO, DecodeOptions(), model=model, request_id="r", deadline=later(), permit=permit
        )


def later() -> Deadline:
    return Deadline.after(30, now_s=time.monotonic())


async def test_the_load_is_shared() -> None:
    tritons = Tritons("a:1", "b:1")
    fleet = await tritons.checked()
    a, b = tritons.by_address.values()
    a.gate.clear()
    async with asyncio.TaskGroup() as group:
        stuck = group.create_task(ask(fleet))
        await a.requests_are(1)
        assert tritons.value("tritone_endpoint_in_flight", "a:1") == 1
        for _ in range(4):
            await ask(fleet)
        assert (len(a.requests), len(b.requests)) == (1, 4)
        a.gate.set()
        await stuck
    assert tritons.value("tritone_endpoint_in_flight", "a:1") == 0


async def test_one_that_fails_is_left_out_until_a_canary_came_back() -> None:
    tritons = Tritons("a:1", "b:1")
    fleet = await tritons.checked()
    a, b = tritons.by_address.values()
    a.error = GONE
    with pytest.raises(errors.ModelUnavailable):
        await ask(fleet)
    assert fleet.problems == {"a:1": "the model can't be reached", "b:1": None}
    assert (fleet.problem, fleet.refusal_of("base")) == (None, None)
    fleet.require_any()
    for _ in range(3):
        await ask(fleet)
    assert (len(a.requests), len(b.requests)) == (1, 3)
    a.error = None
    await fleet.check()
    assert tritons.value("tritone_model_ready", "a:1") == 1
    await ask(fleet)
    assert len(a.requests) == 2


@pytest.mark.parametrize("error", [errors.ModelFailed("no memory"), errors.Overloaded("full")])
async def test_one_that_fails_at_once_is_not_asked_the_most(error: errors.TritoneError) -> None:
    tritons = Tritons("a:1", "b:1")
    fleet = await tritons.checked()
    a, b = tritons.by_address.values()
    a.error = error
    b.gate.clear()
    asked = [asyncio.create_task(ask(fleet)) for _ in range(20)]
    await eventually(lambda: len(a.requests) + len(b.requests) == 20)
    b.gate.set()
    await asyncio.gather(*asked, return_exceptions=True)
    assert 0 < len(a.requests) <= 5


async def test_when_all_fail_that_is_told_of_each() -> None:
    tritons = Tritons("a:1", "b:1")
    fleet = await tritons.checked()
    for backend in tritons.by_address.values():
        backend.error = GONE
        with pytest.raises(errors.ModelUnavailable):
            await ask(fleet)
    assert fleet.problem == "a:1: the model can't be reached; b:1: the model can't be reached"
    for refused in (fleet.require_any, lambda: fleet.require("base", arrived_at_s=time.monotonic())):
        with pytest.raises(errors.ModelUnavailable):
            refused()
    fleet.require("base", arrived_at_s=0.0)
    with pytest.raises(errors.ModelUnavailable):
        await ask(fleet)


async def test_whoever_waits_goes_on_with_the_first_that_is_back() -> None:
    tritons = Tritons("a:1", "b:1")
    for backend in tritons.by_address.values():
        backend.sign = Sign.UNREACHABLE
    fleet = await tritons.checked()
    waiting = asyncio.create_task(fleet.available("base", later()))
    await asyncio.sleep(0)
    tritons.by_address["b:1"].sign = Sign.ALIVE
    await fleet.check()
    await waiting
    assert fleet.refusal_of("base") is None


async def test_what_a_silent_one_took_is_given_up_and_another_is_asked() -> None:
    tritons = Tritons("a:1", "b:1")
    fleet = await tritons.checked()
    a = tritons.by_address["a:1"]
    a.gate.clear()
    stuck = asyncio.create_task(ask(fleet))
    await a.requests_are(1)
    a.sign = Sign.LATE
    a.canary_error = errors.DeadlineExceeded("late")
    fleet.endpoints[0].warden.health("base").suspected = True
    await fleet.check()
    with pytest.raises(errors.ModelUnavailable):
        await stuck
    assert a.in_flight == 0
    await ask(fleet)
    assert len(tritons.by_address["b:1"].requests) == 1


async def test_orders_reach_every_triton_that_has_the_model() -> None:
    tritons = Tritons("a:1", "b:1")
    a, b = tritons.by_address.values()
    b.models = ("base", "small")
    fleet = await tritons.checked()
    assert fleet.models == ("base", "small")
    assert [entry.name for entry in fleet.index] == ["base", "small"]
    assert list(fleet.keepers("small")) == ["b:1"]
    async with tritons.running():
        await fleet.unload("base")
        assert fleet.unloaded("base")
        await fleet.load("base")
        await fleet.reload("small")
    assert a.orders == [("unload", "base"), ("load", "base")]
    assert b.orders == [("unload", "base"), ("load", "base"), ("replace", "small")]
    with pytest.raises(errors.NotFound):
        await fleet.load("gpt-4o")
    with pytest.raises(errors.NotFound):
        fleet.keepers("gpt-4o")


async def test_an_order_that_fails_somewhere_is_told_and_given_elsewhere() -> None:
    tritons = Tritons("a:1", "b:1")
    fleet = await tritons.checked()
    a, b = tritons.by_address.values()
    a.load_error = errors.ModelUnavailable("no room")
    with pytest.raises(errors.ModelUnavailable, match="no room"):
        await fleet.reload("base")
    assert b.orders == [("replace", "base")]


async def test_what_is_given_up_says_nothing_of_the_model_that_came_back() -> None:
    tritons = Tritons("a:1")
    fleet = await tritons.checked()
    (health,) = (keeper.health for keeper in fleet.keepers("base").values())
    tritons.by_address["a:1"].gate.clear()
    asked = asyncio.create_task(ask(fleet))
    await tritons.by_address["a:1"].requests_are(1)
    health.give_up()
    health.passed()
    with pytest.raises(errors.ModelUnavailable):
        await asked
    assert health.refusal is None
    await fleet.close()


async def test_an_order_outlives_the_name_of_its_triton(monkeypatch: pytest.MonkeyPatch, there: list[Place]) -> None:
    there[:] = [Place("a:1"), Place("b:1")]
    tritons, go_on = Tritons("name:1"), asyncio.Event()
    a = tritons.connect("a:1")

    async def replace(model: str, *, deadline: Deadline) -> None:
        a.orders.append(("replace", model))
        await go_on.wait()
        assert not a.closed

    monkeypatch.setattr(a, "replace", replace)
    async with tritons.running() as fleet:
        reloading = asyncio.create_task(fleet.reload("base"))
        await eventually(lambda: a.orders == [("replace", "base")])
        there[:] = [Place("b:1")]
        await eventually(lambda: set(fleet.problems) == {"b:1"})
        go_on.set()
        await reloading
        await eventually(lambda: a.closed)
    await fleet.close()


async def test_nothing_is_asked_over_a_connection_that_was_closed(
    monkeypatch: pytest.MonkeyPatch, there: list[Place]
) -> None:
    there[:] = [Place("a:1"), Place("b:1")]
    tritons = Tritons("name:1")
    a = tritons.connect("a:1")

    async def pulse(model: str, *, deadline: Deadline) -> Sign:
        assert not a.closed
        try:
            await asyncio.Event().wait()
        finally:
            # Its end takes a while, and then it asks once more.
            for _ in range(5):
                await asyncio.sleep(0)
            assert not a.closed
        return Sign.ALIVE

    async with tritons.running() as fleet:
        monkeypatch.setattr(a, "pulse", pulse)
        await eventually(lambda: tritons.value("tritone_model_ready", "a:1") == 1)
        there[:] = [Place("b:1")]
        await eventually(lambda: a.closed)
        await ask(fleet)
    await fleet.close()


async def test_a_triton_serves_until_those_that_replace_it_can(there: list[Place]) -> None:
    there[:] = [Place("name:1")]
    tritons = Tritons("name:1")
    for address in ("a:1", "b:1"):
        tritons.connect(address).canary_error = GONE
    async with tritons.running() as fleet:
        there[:] = [Place("a:1"), Place("b:1")]
        await eventually(lambda: len(fleet.endpoints) == 3)
        fleet.require_any()
        await ask(fleet)
        assert len(tritons.by_address["name:1"].requests) == 1
        tritons.by_address["a:1"].canary_error = None
        await eventually(lambda: tritons.by_address["name:1"].closed)
        assert set(fleet.problems) == {"a:1", "b:1"}
    await fleet.close()


async def test_those_behind_a_name_come_and_go(there: list[Place]) -> None:
    there[:] = [Place("a:1"), Place("b:1")]
    tritons = Tritons("name:1")
    async with tritons.running() as fleet:
        a = tritons.by_address["a:1"]
        a.gate.clear()
        asked = asyncio.create_task(ask(fleet))
        await a.requests_are(1)
        there[:] = [Place("b:1"), Place("c:1")]
        await eventually(lambda: fleet.problems == {"b:1": None, "c:1": None})
        assert not a.closed
        a.gate.set()
        await asked
        await eventually(lambda: a.closed)
        await eventually(lambda: tritons.value("tritone_model_ready", "a:1") is None)
        there[:] = [Place(f"{number}:1") for number in range(9)]
        await eventually(lambda: len(fleet.endpoints) == 4)
    await fleet.close()
    assert tritons.by_address["0:1"].closed
