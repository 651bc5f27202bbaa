"""Orders and the care for a model at the same time: neither undoes what the other did."""

import asyncio
from contextlib import suppress

import pytest

from gateway.core import errors
from gateway.core.deadline import Deadline
from gateway.core.recovery import Sign
from gateway.triton.control import IndexEntry
from gateway.triton.keeper import Keeper
from tests.fakes import FakeTranscriber
from tests.serving import eventually
from tests.triton.conftest import keeper_of, running


@pytest.fixture
def slow_pulse(backend: FakeTranscriber, keeper: Keeper) -> asyncio.Event:
    """From now on a pulse is felt when this is set: of a process that has died."""
    felt = asyncio.Event()

    async def pulse(model: str, *, deadline: Deadline) -> Sign:
        await felt.wait()
        return Sign.DEAD

    backend.pulse = pulse  # type: ignore[method-assign]  # held, so that an order comes in between
    return felt


@pytest.fixture
def held_replace(backend: FakeTranscriber) -> asyncio.Event:
    """A replacement ends when this is set."""
    release = asyncio.Event()

    async def replace(model: str, *, deadline: Deadline) -> None:
        backend.orders.append(("replace", model))
        await release.wait()

    backend.replace = replace  # type: ignore[method-assign]  # held, to look in between
    return release


async def test_a_pulse_of_the_process_before_does_not_end_its_successor(
    backend: FakeTranscriber, keeper: Keeper, slow_pulse: asyncio.Event
) -> None:
    looking = asyncio.create_task(keeper.look())
    await asyncio.sleep(0)
    await keeper.replace("operator")
    slow_pulse.set()
    await looking
    assert (backend.orders, keeper.health.refusal) == ([("replace", "base")], None)


async def test_what_the_process_before_took_with_it_is_given_up(
    backend: FakeTranscriber, keeper: Keeper, slow_pulse: asyncio.Event
) -> None:
    async def wait() -> None:
        async with keeper.health.attending():
            await asyncio.Event().wait()

    waiting, looking = asyncio.create_task(wait()), asyncio.create_task(keeper.look())
    await asyncio.sleep(0)
    await keeper.replace("operator")
    slow_pulse.set()
    await looking
    await keeper.ask()
    with pytest.raises(errors.ModelUnavailable):
        await waiting


async def test_a_pulse_from_before_an_unload_does_not_load_it_again(
    backend: FakeTranscriber, keeper: Keeper, slow_pulse: asyncio.Event
) -> None:
    looking = asyncio.create_task(keeper.look())
    await asyncio.sleep(0)
    await keeper.unload()
    slow_pulse.set()
    await looking
    assert (backend.orders, keeper.health.unloaded) == ([("unload", "base")], True)


async def test_a_process_that_has_grown_is_not_replaced_twice(
    backend: FakeTranscriber, keeper: Keeper, held_replace: asyncio.Event
) -> None:
    await keeper.weigh(500)
    replacing = asyncio.create_task(keeper.replace("operator"))
    await eventually(lambda: bool(backend.orders))
    await keeper.weigh(1500)
    held_replace.set()
    await replacing
    assert backend.orders == [("replace", "base")]


async def test_a_reload_gets_rid_of_a_process_that_nobody_heals(backend: FakeTranscriber) -> None:
    keeper = keeper_of(backend, heals=False)
    backend.sign = Sign.DEAD
    async with running(keeper):
        await keeper.reload()
    assert backend.orders == [("unload", "base"), ("load", "base")]
    assert keeper.health.problem is None


async def test_a_reload_leaves_what_was_loaded_while_it_waited(
    backend: FakeTranscriber, keeper: Keeper, held_replace: asyncio.Event
) -> None:
    replacing = asyncio.create_task(keeper.replace("memory"))
    await eventually(lambda: bool(backend.orders))
    keeper.health.failed(errors.ModelUnavailable("gone"))
    async with running(keeper):
        reloading = asyncio.create_task(keeper.reload())
        held_replace.set()
        await asyncio.gather(replacing, reloading)
    assert backend.orders == [("replace", "base"), ("load", "base")]


async def test_an_unload_after_a_reload_is_the_last_word(backend: FakeTranscriber) -> None:
    keeper = keeper_of(backend)
    backend.sign, release, index = Sign.DEAD, asyncio.Event(), backend.index

    async def slow(*, deadline: Deadline) -> tuple[IndexEntry, ...]:
        await release.wait()
        return await index(deadline=deadline)

    backend.index = slow  # type: ignore[method-assign]  # held to order something in between
    reloading = asyncio.create_task(keeper.reload())
    await asyncio.sleep(0)
    unloading = asyncio.create_task(keeper.unload())
    await asyncio.sleep(0)
    release.set()
    with suppress(errors.ModelUnavailable):
        await reloading
    await unloading
    await keeper.check()
    assert (backend.orders[-1], keeper.health.unloaded) == (("unload", "base"), True)


async def test_loading_what_is_loaded_does_not_put_its_healing_off(backend: FakeTranscriber, keeper: Keeper) -> None:
    backend.canary_error = errors.ModelFailed("wrong")
    keeper.health.failed(errors.ModelFailed("wrong"))
    for _ in range(3):
        await keeper.check()
    with suppress(errors.ModelUnavailable):
        await keeper.load()
    await keeper.look()
    assert backend.orders == [("load", "base"), ("unload", "base"), ("load", "base")]


async def test_a_load_does_not_wait_for_an_unload_without_an_end(
    backend: FakeTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(backend, load_timeout_s=600.0)
    await keeper.check()

    async def unload(model: str, *, deadline: Deadline) -> None:
        backend.orders.append(("unload", model))

    monkeypatch.setattr(backend, "unload", unload)
    unloading = asyncio.create_task(keeper.unload())
    await eventually(lambda: ("unload", "base") in backend.orders)
    async with running(keeper), asyncio.timeout(10):
        await keeper.load()
    await unloading
    assert backend.orders == [("unload", "base"), ("load", "base")]


async def test_what_an_operator_unloads_stays_unloaded_until_it_is_loaded(
    backend: FakeTranscriber, keeper: Keeper
) -> None:
    await keeper.unload()
    await keeper.check()
    assert (backend.orders, keeper.health.problem) == ([("unload", "base")], "the model is not loaded")
    async with running(keeper):
        await keeper.load()
        assert keeper.health.problem is None
    assert backend.orders[1:] == [("load", "base")]


async def test_what_somebody_else_loads_again_is_served_again(backend: FakeTranscriber, keeper: Keeper) -> None:
    await keeper.unload()
    backend.models = ("base",)
    await keeper.check()
    assert (keeper.health.unloaded, keeper.health.problem) == (False, None)
    assert backend.orders == [("unload", "base")]
    backend.models = ()
    await keeper.check()
    assert backend.orders == [("unload", "base"), ("load", "base")]


async def test_nothing_is_healed_while_an_operator_replaces_it(
    backend: FakeTranscriber, keeper: Keeper, held_replace: asyncio.Event
) -> None:
    replacing = asyncio.create_task(keeper.replace("operator"))
    await eventually(lambda: bool(backend.orders))
    backend.sign = Sign.DEAD
    await keeper.check()
    assert (backend.orders, keeper.health.problem) == ([("replace", "base")], "the model's process is gone")
    held_replace.set()
    await replacing
