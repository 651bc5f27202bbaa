import asyncio
from typing import Any

import pytest

from gateway.core import errors
from gateway.core.deadline import Deadline
from gateway.core.recovery import RecoveryLimits, Sign
from gateway.triton.keeper import Keeper
from tests.fakes import FakeTranscriber
from tests.serving import eventually
from tests.triton.conftest import keeper_of, running

BUSY = errors.Overloaded("full")
LATE = errors.DeadlineExceeded("late")
GONE = errors.ModelUnavailable("gone")
NONSENSE = errors.ModelFailed("wrong")


async def test_real_answers_spare_the_canary(backend: FakeTranscriber, keeper: Keeper) -> None:
    keeper.health.answered()
    await keeper.check()
    assert backend.canaries == 1
    keeper.health.failed(LATE)
    await keeper.check()
    assert backend.canaries == 2


@pytest.mark.parametrize(
    ("sign", "problem"),
    [
        (Sign.DEAD, "the model's process is gone"),
        (Sign.ABSENT, "the model is not loaded"),
        (Sign.LOADING, "the model is being loaded"),
        (Sign.UNREACHABLE, "Triton can't be reached"),
    ],
)
async def test_a_bad_sign_closes_the_door_and_says_why(backend: FakeTranscriber, sign: Sign, problem: str) -> None:
    keeper = keeper_of(backend, heals=False)
    await keeper.check()
    backend.sign = sign
    await keeper.check()
    assert (keeper.health.problem, backend.orders, backend.canaries) == (problem, [], 1)


async def test_a_dead_process_is_unloaded_and_loaded_and_counts_after_a_canary(
    backend: FakeTranscriber, keeper: Keeper
) -> None:
    backend.sign = Sign.DEAD
    await keeper.check()
    assert backend.orders == [("unload", "base"), ("load", "base")]
    assert keeper.health.problem == "the model is being healed"
    await keeper.check()
    assert keeper.health.problem is None


async def test_what_was_sent_to_a_dead_process_is_given_up(backend: FakeTranscriber, keeper: Keeper) -> None:
    async def wait() -> None:
        async with keeper.health.attending():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    backend.sign = Sign.DEAD
    await keeper.look()
    with pytest.raises(errors.ModelUnavailable):
        await waiting


async def test_what_another_gateway_healed_is_given_up_too(backend: FakeTranscriber) -> None:
    keeper = keeper_of(backend, heals=False)
    await keeper.check()

    async def wait() -> None:
        async with keeper.health.attending():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    backend.sign = Sign.ABSENT
    await keeper.check()
    assert not waiting.done()
    backend.sign = Sign.ALIVE
    await keeper.check()
    with pytest.raises(errors.ModelUnavailable):
        await waiting


async def test_an_absent_model_is_loaded_where_it_is_wanted(backend: FakeTranscriber) -> None:
    backend.models = ()
    await keeper_of(backend, wanted=False).check()
    assert backend.orders == []
    await keeper_of(backend).check()
    assert backend.orders == [("load", "base")]


async def test_a_heal_that_fails_is_tried_again_later(backend: FakeTranscriber, keeper: Keeper) -> None:
    backend.sign, backend.load_error = Sign.DEAD, GONE
    await keeper.check()
    await keeper.check()
    assert backend.orders == [("unload", "base"), ("load", "base")]
    backend.load_error = None
    async with running(keeper):
        await eventually(lambda: keeper.health.problem is None)
    assert backend.orders[-1] == ("load", "base")


async def test_what_a_heal_took_away_is_brought_back_whoever_loaded_it(backend: FakeTranscriber) -> None:
    keeper = keeper_of(backend, wanted=False, recovery=RecoveryLimits(min_pause_s=0.01, max_pause_s=0.01))
    await keeper.check()
    backend.sign, backend.load_error = Sign.DEAD, GONE
    await keeper.check()
    assert (backend.orders, backend.models) == ([("unload", "base"), ("load", "base")], ())
    backend.sign, backend.load_error = Sign.ALIVE, None
    async with running(keeper):
        await eventually(lambda: keeper.health.problem is None)
    assert backend.orders[-1] == ("load", "base")


async def test_a_model_that_answers_nonsense_is_healed(backend: FakeTranscriber, keeper: Keeper) -> None:
    backend.canary_error = NONSENSE
    keeper.health.failed(NONSENSE)
    for _ in range(3):
        await keeper.check()
    assert (keeper.health.problem, backend.orders) == ("the model failed its check: model_failed", [])
    backend.canary_error = None
    await keeper.check()
    assert backend.orders == [("unload", "base"), ("load", "base")]


async def test_a_full_queue_is_no_sick_model(backend: FakeTranscriber, keeper: Keeper) -> None:
    backend.canary_error = BUSY
    keeper.health.failed(LATE)
    await keeper.check()
    assert keeper.health.problem is None


@pytest.mark.parametrize("error", [LATE, NONSENSE])
async def test_a_canary_that_fails_closes_the_door(
    backend: FakeTranscriber, keeper: Keeper, error: errors.TritoneError
) -> None:
    backend.canary_error = error
    keeper.health.failed(LATE)
    await keeper.check()
    assert keeper.health.problem == f"the model failed its check: {error.reason}"


async def test_an_answer_while_the_canary_was_late_counts_as_much(backend: FakeTranscriber, keeper: Keeper) -> None:
    async def answered_meanwhile(model: str, *, deadline: Deadline) -> None:
        await asyncio.sleep(0.001)
        keeper.health.answered()
        raise LATE

    backend.canary = answered_meanwhile  # type: ignore[method-assign]  # the answer has to come in between
    await keeper.ask()
    assert keeper.health.problem is None


async def test_a_late_pulse_is_looked_into_with_a_canary(backend: FakeTranscriber, keeper: Keeper) -> None:
    backend.sign = Sign.LATE
    await keeper.check()
    assert (backend.canaries, keeper.health.problem) == (2, None)


async def test_the_loss_and_the_return_are_noticed(backend: FakeTranscriber, keeper: Keeper) -> None:
    async with running(keeper):
        backend.sign = Sign.UNREACHABLE
        await eventually(lambda: keeper.health.problem is not None)
        backend.sign = Sign.ALIVE
        await eventually(lambda: keeper.health.problem is None)


async def test_a_process_that_has_grown_is_replaced_and_not_at_once_again(backend: FakeTranscriber) -> None:
    keeper = keeper_of(backend, recycle_interval_s=0.0)
    await keeper.check()
    await keeper.weigh(500)
    assert (keeper.resident_bytes, backend.orders) == (500, [])
    await keeper.weigh(1500)
    # Nobody has seen the size of the fresh one.
    assert keeper.resident_bytes is None
    assert b"tritone_watched_resident_bytes{" not in keeper._telemetry.exposition()
    await keeper.weigh(1600)
    assert backend.orders == [("replace", "base")]
    assert keeper.health.problem is None


@pytest.mark.parametrize("limits", [{"heals": False}, {"recycle_interval_s": 60.0}, {"resident_limit_bytes": 9999}])
async def test_a_process_is_not_replaced_without_leave(backend: FakeTranscriber, limits: dict[str, Any]) -> None:
    keeper = keeper_of(backend, **limits)
    await keeper.check()
    await keeper.weigh(500)
    await keeper.weigh(1500)
    assert backend.orders == []


async def test_a_replacement_that_fails_leaves_the_old_process_in_service(
    backend: FakeTranscriber, keeper: Keeper
) -> None:
    backend.load_error = GONE
    await keeper.weigh(500)
    await keeper.weigh(1500)
    assert (backend.orders, keeper.health.problem) == ([("replace", "base")], None)


async def test_a_triton_of_our_own_that_takes_no_order_is_started_afresh(backend: FakeTranscriber) -> None:
    restarts: list[str] = []

    async def silent(model: str, *, deadline: Deadline) -> None:
        raise errors.DeadlineExceeded("Triton did not answer in time.")

    backend.unload = silent  # type: ignore[method-assign]
    hasty = RecoveryLimits(min_pause_s=0.0, max_pause_s=0.0)
    keeper = keeper_of(backend, restart=lambda: restarts.append("restart"), recovery=hasty)
    backend.sign = Sign.DEAD
    for _ in range(2):
        await keeper.check()
    assert restarts == ["restart"]


async def test_a_triton_of_our_own_is_started_afresh_when_too_much_was_left_in_it(backend: FakeTranscriber) -> None:
    restarts: list[str] = []

    async def stays(model: str, *, deadline: Deadline) -> None:
        backend.orders.append(("unload", model))

    backend.unload = stays  # type: ignore[method-assign]  # as where requests were lost: it is unloading for ever
    hasty = RecoveryLimits(min_pause_s=0.0)
    keeper = keeper_of(backend, restart=lambda: restarts.append("restart"), max_leftovers=1, recovery=hasty)
    for _ in range(3):
        backend.sign = Sign.ALIVE
        await keeper.check()
        backend.sign = Sign.DEAD
        await keeper.check()
    assert backend.orders == [("unload", "base"), ("load", "base")] * 2
    assert restarts == ["restart"]


async def test_a_long_absence_says_nothing_of_the_model_that_is_back(backend: FakeTranscriber) -> None:
    keeper = keeper_of(backend, recovery=RecoveryLimits(late_s=1e-9))
    await keeper.check()
    backend.canary_error = LATE
    keeper.health.failed(LATE)
    await keeper.check()
    backend.canary_error = None
    for sign in (Sign.UNREACHABLE, Sign.ALIVE):
        backend.sign = sign
        await keeper.check()
    assert (backend.orders, keeper.health.problem) == ([], None)


async def test_a_model_whose_pulse_fails_too_is_healed(backend: FakeTranscriber, keeper: Keeper) -> None:
    backend.sign, backend.canary_error = Sign.FAILS, NONSENSE
    for _ in range(4):
        await keeper.check()
    assert backend.orders == [("unload", "base"), ("load", "base")]
