import asyncio

import pytest

from gateway.core.admission import Admission, AdmissionLimits
from gateway.core.errors import Overloaded
from gateway.turnstile import Turnstile


class Line:
    """Waiters at a turnstile, by name, and the order in which they came through."""

    def __init__(self, *, permits: int = 1, waiting: int = 8) -> None:
        self.admission = Admission(AdmissionLimits(1, permits, waiting, 1000))
        self.turnstile = Turnstile(self.admission)
        self.through: list[str] = []

    async def come(self, name: str, leave: asyncio.Event) -> None:
        async with self.turnstile.permit(1.0) as permit:
            assert permit.held
            self.through.append(name)
            await leave.wait()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    line, leave = Line(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(line.come(name, leave))
        await turns()
        assert line.through == ["a"]
        assert (line.admission.waiting, line.admission.waiting_audio_s) == (3, 3.0)
        leave.set()
    assert line.through == list("abcd")
    assert (line.admission.waiting, line.admission.in_flight) == (0, 0)


async def test_who_leaves_the_line_is_passed_over() -> None:
    line, leave = Line(), asyncio.Event()
    tasks = [asyncio.create_task(line.come(name, leave)) for name in "abc"]
    await turns()
    tasks[1].cancel()
    await turns()
    assert line.admission.waiting == 1
    leave.set()
    await asyncio.wait(tasks)
    assert line.through == ["a", "c"]
    assert line.admission.in_flight == 0


async def test_a_permit_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    line, leave = Line(), asyncio.Event()
    tasks = [asyncio.create_task(line.come(name, leave)) for name in "abc"]
    await turns()
    leave.set()
    # In one turn of the loop "a" gives its permit to "b", which is cancelled before it can take it.
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert line.through == ["a", "c"]
    assert (line.admission.in_flight, line.admission.waiting) == (0, 0)


async def test_a_cancelled_head_does_not_stop_the_line() -> None:
    line, leave = Line(), asyncio.Event()
    tasks = [asyncio.create_task(line.come(name, leave)) for name in "abc"]
    await turns()
    # Both happen before "b" runs again: the line still holds it when the permit comes.
    tasks[0].cancel()
    tasks[1].cancel()
    leave.set()
    await asyncio.wait(tasks)
    assert line.through == ["a", "c"]
    assert (line.admission.in_flight, line.admission.waiting) == (0, 0)


async def test_the_line_is_bounded() -> None:
    line, leave = Line(waiting=1), asyncio.Event()
    tasks = [asyncio.create_task(line.come(name, leave)) for name in "ab"]
    await turns()
    with pytest.raises(Overloaded):
        await line.come("c", leave)
    leave.set()
    await asyncio.wait(tasks)
    assert line.admission.in_flight == 0
