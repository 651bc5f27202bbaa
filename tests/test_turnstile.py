import asyncio
import dataclasses

import pytest

from gateway.core.admission import Admission, AdmissionLimits, Lane
from gateway.core.errors import Overloaded
from gateway.turnstile import Turnstile


class Line:
    """Waiters at a turnstile, by name, and the order in which they came through."""

    def __init__(self, *, permits: int = 1, waiting: int = 8, **interim: float) -> None:
        limits = AdmissionLimits(1, permits, waiting, 1000)
        self.admission = Admission(dataclasses.replace(limits, **interim))  # type: ignore[arg-type]  # tests choose well
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


async def through(line: Line, lane: Lane, name: str, leave: asyncio.Event, *, audio_s: float = 1.0) -> None:
    async with line.turnstile.permit(audio_s, lane):
        line.through.append(name)
        await leave.wait()


async def test_the_lanes_go_in_their_order() -> None:
    line, leave = Line(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.come("busy", leave))
        await turns()
        lanes = (Lane.LONG, Lane.INTERIM, Lane.FILE, Lane.LIVE, Lane.LIVE)
        for number, lane in enumerate(lanes):
            group.create_task(through(line, lane, f"{lane.name} {number}", leave))
            await turns()
        assert line.admission.waiting == 4
        leave.set()
    assert line.through == ["busy", "LIVE 3", "LIVE 4", "FILE 2", "INTERIM 1", "LONG 0"]


async def test_interim_results_leave_permits_for_others() -> None:
    line, leave = Line(permits=8, interim_permits=1, interim_wait_s=30), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(through(line, Lane.INTERIM, name, leave))
        await turns()
        group.create_task(line.come("file", leave))
        await turns()
        assert line.through == ["first", "file"]
        leave.set()
    assert line.through == ["first", "file", "second"]
    assert line.admission.in_flight == 0


async def test_the_shortest_interim_result_goes_first() -> None:
    line, leave = Line(interim_wait_s=30), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.come("busy", leave))
        await turns()
        for name, audio_s in (("long", 9.0), ("short", 1.0), ("middling", 3.0)):
            group.create_task(through(line, Lane.INTERIM, name, leave, audio_s=audio_s))
            await turns()
        leave.set()
    assert line.through == ["busy", "short", "middling", "long"]


async def test_an_interim_result_gives_up() -> None:
    line, leave = Line(interim_wait_s=0.01), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.come("busy", leave))
        await turns()
        with pytest.raises(Overloaded):
            await through(line, Lane.INTERIM, "interim", leave)
        leave.set()
    assert line.through == ["busy"]
