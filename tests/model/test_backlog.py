from typing import Any

import numpy as np

from guard import Attempt
from jobs import Backlog, Job
from options import Options


def job(
    frames: int, arrived_s: float = 0.0, *, temperature: float = 0.0, encoded: Any = None, urgent: bool = False
) -> Job:
    return Job(
        samples=np.zeros(16000, np.int16), options=Options(urgent=urgent), previous_tokens=[],
        attempt=Attempt(frames, temperature), arrived_s=arrived_s, encoded=encoded,
        is_cancelled=lambda: False, reply=lambda outcome: None,
    )  # fmt: skip


def filled(*jobs: Job, max_batch: int = 8) -> Backlog:
    backlog = Backlog(max_batch)
    for one in jobs:
        backlog.add(one)
    return backlog


def test_a_batch_shares_one_window_and_keeps_the_order() -> None:
    short, long, short_too = job(800), job(3000), job(800)
    assert filled(short, long, short_too).take(1.0) == [short, short_too]


def test_the_short_go_first_but_the_long_do_not_starve() -> None:
    long, short = job(3000, arrived_s=0.0), job(800, arrived_s=0.0)
    assert filled(long, short).take(1.0) == [short]
    assert filled(long, job(800, arrived_s=99.0)).take(100.0) == [long]


def test_a_batch_is_bounded() -> None:
    assert len(filled(*(job(800) for _ in range(9)), max_batch=4).take(1.0)) == 4


def test_idle_takers_share_what_waits() -> None:
    backlog = filled(*(job(800) for _ in range(5)))
    assert [len(backlog.take(1.0, takers)) for takers in (2, 1)] == [3, 2]
    assert backlog.take(1.0) == []
    assert len(backlog) == 0


def test_a_job_that_carries_its_encoding_is_not_mixed_with_ones_that_do_not() -> None:
    fresh, carried = job(3000), job(3000, encoded=object())
    backlog = filled(fresh, carried)
    assert [backlog.take(1.0), backlog.take(1.0)] == [[fresh], [carried]]


def test_what_is_dropped_is_out_and_the_rest_keeps_its_order() -> None:
    first, left, last, long = job(800), job(800), job(800), job(3000)
    taken = job(800)
    backlog = filled(first, left, last, long)
    assert backlog.waiting() == [first, left, last, long]
    assert backlog.drop({left, long, taken}) == [left, long]
    assert backlog.take(1.0) == [first, last]
    assert backlog.take(1.0) == []


def test_the_urgent_overtake_and_are_not_held_up_by_company() -> None:
    others = [job(800, arrived_s=0.0) for _ in range(3)]
    urgent = job(1500, arrived_s=1.0, urgent=True)
    backlog = filled(*others, urgent)
    assert [backlog.take(1.0), backlog.take(1.0)] == [[urgent], others]


def test_an_urgent_second_try_does_not_wait_for_those_who_came_later() -> None:
    fresh = job(800, arrived_s=5.0, urgent=True)
    for frames in (1200, 3000):
        again = job(frames, arrived_s=0.0, urgent=True)
        assert filled(fresh, again).take(6.0) == [again]
    sampled = job(3000, arrived_s=0.0, urgent=True, temperature=0.2)
    assert filled(fresh, sampled).take(6.0) == [fresh]


def test_the_urgent_starve_nobody() -> None:
    other, urgent = job(800, arrived_s=0.0), job(800, arrived_s=11.0, urgent=True)
    assert filled(other, urgent).take(11.0) == [other]


def test_nobody_asks_about_a_request_that_was_answered() -> None:
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(True)
        return False

    one = job(800)
    one.is_cancelled = is_cancelled
    assert one.abandoned(0) is None
    one.answer({"text": ""})
    assert one.abandoned(0) is None
    assert asked == [True]
