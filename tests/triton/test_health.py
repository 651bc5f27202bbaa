import asyncio

import pytest

from gateway.core import errors
from gateway.telemetry import Telemetry
from gateway.triton.health import ModelWatch
from tests.fakes import FakeTranscriber
from tests.serving import eventually

BUSY = errors.Overloaded("full")
LATE = errors.DeadlineExceeded("late")
GONE = errors.ModelUnavailable("gone")


def watch(backend: FakeTranscriber, *, interval_s: float = 60.0) -> ModelWatch:
    return ModelWatch(backend, Telemetry(), model="base", interval_s=interval_s, timeout_s=1.0)


async def test_unknown_is_a_problem_until_the_model_answers() -> None:
    backend = FakeTranscriber()
    watched = watch(backend)
    before = watched.problem
    await watched.check()
    assert (before, watched.problem) == ("the model has not answered yet", None)
    assert watched.served == ("base",)


async def test_real_answers_spare_the_canary() -> None:
    backend = FakeTranscriber()
    watched = watch(backend)
    watched.answered("base")
    await watched.check()
    assert backend.canaries == 0
    await watched.check(forced=True)
    assert backend.canaries == 1


async def test_an_old_answer_is_a_problem() -> None:
    watched = ModelWatch(FakeTranscriber(), Telemetry(), model="base", interval_s=0.0, timeout_s=0.0)
    watched.answered("base")
    assert watched.problem == "the model has not answered lately"


async def test_only_an_unavailable_model_closes_the_door_at_once() -> None:
    watched = watch(FakeTranscriber())
    watched.answered("base")
    watched.failed("base", errors.ModelFailed("odd audio"))
    watched.failed("base", LATE)
    watched.failed("base", BUSY)
    watched.failed("other", GONE)
    assert watched.problem is None
    watched.failed("base", GONE)
    assert watched.problem == "the model can't be reached"


async def test_a_full_queue_is_no_sick_model() -> None:
    backend = FakeTranscriber()
    backend.canary_error = BUSY
    watched = watch(backend)
    watched.answered("base")
    await watched.check(forced=True)
    assert watched.problem is None


@pytest.mark.parametrize("error", [GONE, LATE, errors.ModelFailed("wrong")])
async def test_a_canary_that_fails_closes_the_door(error: errors.TritoneError) -> None:
    backend = FakeTranscriber()
    watched = watch(backend)
    await watched.check()
    backend.canary_error = error
    await watched.check(forced=True)
    assert watched.problem == f"the model failed its check: {error.reason}"


async def test_the_watch_notices_the_loss_and_the_return() -> None:
    backend = FakeTranscriber()
    watched = watch(backend)
    await watched.check()
    running = asyncio.create_task(watched.run())
    backend.canary_error = GONE
    watched.failed("base", LATE)
    await eventually(lambda: watched.problem is not None)
    backend.canary_error = None
    await eventually(lambda: watched.problem is None)
    running.cancel()
    await asyncio.wait([running])
