import asyncio
import time

import pytest

from gateway.core import errors
from gateway.core.deadline import Deadline
from gateway.telemetry import Telemetry
from gateway.triton.health import Changes, HealthLimits, ModelHealth

BUSY = errors.Overloaded("full")
LATE = errors.DeadlineExceeded("late")
GONE = errors.ModelUnavailable("gone")


def unknown(*, max_age_s: float = 60.0, recovery_s: float = 5.0) -> ModelHealth:
    return ModelHealth("base", "triton:8001", Telemetry(), HealthLimits(max_age_s, recovery_s), Changes())


def healthy(**options: float) -> ModelHealth:
    health = unknown(**options)
    health.probe()
    health.passed()
    return health


def later() -> Deadline:
    return Deadline.after(60.0, now_s=time.monotonic())


async def test_unknown_is_a_problem_until_a_canary_came_back() -> None:
    health = unknown()
    assert health.problem == "the model has not answered yet"
    health.answered()
    assert health.problem
    health.probe()
    health.passed()
    assert health.problem is None


async def test_an_old_answer_is_a_problem_and_no_reason_to_refuse() -> None:
    health = healthy(max_age_s=0.0)
    assert (health.problem, health.refusal) == ("the model has not answered lately", None)


async def test_only_an_unavailable_model_closes_the_door_at_once() -> None:
    health = healthy()
    health.failed(BUSY)
    assert not health.suspected
    health.failed(errors.ModelFailed("odd audio"))
    health.failed(LATE)
    assert (health.problem, health.suspected) == (None, True)
    health.failed(GONE)
    assert health.problem == "the model can't be reached"


async def test_what_waits_goes_on_when_the_model_is_back() -> None:
    health = healthy()
    await health.available(later(), wait_s=0.0)
    health.failed(GONE)
    waiting = asyncio.create_task(health.available(later(), wait_s=60.0))
    await asyncio.sleep(0)
    health.probe()
    health.failed(GONE)
    health.passed()
    assert not waiting.done()
    health.probe()
    health.passed()
    await waiting


@pytest.mark.parametrize(("deadline_s", "wait_s"), [(0.02, 60.0), (60.0, 0.02), (0.0, 60.0)])
async def test_waiting_ends_with_the_deadline_or_the_patience(deadline_s: float, wait_s: float) -> None:
    with pytest.raises(errors.ModelUnavailable) as caught:
        await unknown().available(Deadline.after(deadline_s, now_s=time.monotonic()), wait_s=wait_s)
    assert caught.value.retry_after_s == pytest.approx(5.0, abs=0.1)


async def test_nobody_waits_for_a_model_that_an_operator_unloads() -> None:
    health = unknown()
    waiting = asyncio.create_task(health.available(later(), wait_s=60.0))
    await asyncio.sleep(0)
    health.loaded(wanted=False)
    with pytest.raises(errors.ModelUnavailable, match="not loaded"):
        await waiting
    assert not health.lets_in(0.0)
    health.loaded(wanted=True)
    assert health.lets_in(0.0)


async def test_who_came_before_the_failure_may_wait() -> None:
    health = healthy()
    before_s = time.monotonic()
    assert health.lets_in(time.monotonic())
    health.failed(GONE)
    assert health.lets_in(before_s)
    assert not health.lets_in(time.monotonic())


async def test_giving_up_ends_every_wait_for_an_answer() -> None:
    health = healthy()

    async def wait() -> None:
        async with health.attending():
            await asyncio.Event().wait()

    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    health.give_up()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [errors.ModelUnavailable] * 3
    async with health.attending():
        pass
    health.give_up()


async def test_a_wait_that_ends_otherwise_keeps_its_own_end() -> None:
    health = healthy()
    with pytest.raises(TimeoutError):
        async with health.attending():
            raise TimeoutError
    waiting = asyncio.create_task(health.available(later(), wait_s=1.0))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_who_should_come_back_is_told_when_by_the_last_recovery() -> None:
    health = healthy(recovery_s=40.0)
    assert health.retry_after_s == 40.0
    health.failed(GONE)
    health.probe()
    health.passed()
    assert health.retry_after_s == 1.0


async def test_who_should_come_back_is_not_told_of_an_outage_of_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    health = healthy(recovery_s=4.0)
    health.failed(GONE)
    hours_later_s = time.monotonic() + 4 * 3600
    monkeypatch.setattr(time, "monotonic", lambda: hours_later_s)
    health.probe()
    health.passed()
    health.failed(GONE)
    assert health.retry_after_s == 4.0


async def test_a_model_that_never_answered_is_told_of_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    health = unknown()
    for reason in ("not loaded", "not loaded", "being loaded"):
        health.trip(reason)
    assert [record.fields["reason"] for record in caplog.records] == ["not loaded", "being loaded"]  # type: ignore[attr-defined]
