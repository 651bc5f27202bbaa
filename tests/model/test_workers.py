"""The worker threads over the real decoder: every job is answered once, whatever happens to its batch."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decode import Decoder, Outcome
from jobs import Job
from layout import Layout
from options import Options, RequestError
from place import Place
from workers import Workers

WITHIN_S = 60


class Counts:
    """Keeps what is counted."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()

    def add(self, name: str, amount: float = 1, **label: str) -> None:
        self.totals[name] += amount  # type: ignore[assignment]  # seconds are counted as well

    def publish(self, pending: int) -> None:
        pass


class Replies:
    """Collects answers and can be waited for."""

    def __init__(self, wanted: int) -> None:
        self.outcomes: list[tuple[str, dict[str, Any] | RequestError]] = []
        self._missing = threading.Semaphore(0)
        self._wanted = wanted

    def of(self, name: str) -> "Callable[[dict[str, Any] | RequestError], None]":
        def reply(outcome: dict[str, Any] | RequestError) -> None:
            self.outcomes.append((name, outcome))
            self._missing.release()

        return reply

    def wait(self) -> None:
        for _ in range(self._wanted):
            assert self._missing.acquire(timeout=WITHIN_S)


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def workers(decoder: Decoder, layout: Layout, counts: Counts) -> Iterator[Workers]:
    running = Workers(decoder, layout, counts, Place("tiny.en_0_0"), hang_limit_s=WITHIN_S)
    yield running
    running.stop()


def job_for(decoder: Decoder, samples: NDArray[np.int16], replies: Replies, name: str, **options: Any) -> Job:
    return decoder.job(
        samples, Options(**{"language": "en", **options}), is_cancelled=lambda: False, reply=replies.of(name)
    )


def test_more_than_the_bound_is_taken_in_turn_and_all_are_answered(
    decoder: Decoder, workers: Workers, speech: dict[str, NDArray[np.int16]], counts: Counts
) -> None:
    names = [name for name in speech for _ in range(3)]
    replies = Replies(len(names))
    for name in names:
        workers.submit([job_for(decoder, speech[name], replies, name, beam_size=1)])
    replies.wait()
    assert Counter(name for name, _ in replies.outcomes) == Counter(names)
    texts = {name: {outcome["text"] for one, outcome in replies.outcomes if one == name} for name in speech}  # type: ignore[index]  # errors fail here
    assert "weather" in texts["weather"].pop()
    assert counts.totals["audio_s"] == pytest.approx(sum(len(speech[name]) for name in names) / 16000)


def test_late_work_is_answered_as_late_and_never_decoded(
    decoder: Decoder, workers: Workers, speech: dict[str, NDArray[np.int16]], counts: Counts
) -> None:
    replies = Replies(2)
    late = job_for(decoder, speech["weather"], replies, "late", deadline_unix_ms=1)
    workers.submit([late, job_for(decoder, speech["weather"], replies, "good")])
    replies.wait()
    outcomes = dict(replies.outcomes)
    assert isinstance(outcomes["late"], RequestError)
    assert outcomes["late"].code == "deadline_exceeded"
    assert isinstance(outcomes["good"], dict)
    assert late.hypotheses == []
    assert counts.totals["abandoned"] == 1


def test_a_batch_that_breaks_answers_each_of_its_jobs(layout: Layout, counts: Counts, decoder: Decoder) -> None:
    class Breaking:
        def decode(self, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
            yield jobs[0], {"text": "first"}
            raise RuntimeError("device lost")

    replies = Replies(3)
    samples = np.ones(16000, np.int16)
    workers = Workers(Breaking(), layout, counts, Place("tiny.en_0_0"), hang_limit_s=WITHIN_S)
    try:
        workers.submit([job_for(decoder, samples, replies, str(n)) for n in range(3)])
        replies.wait()
    finally:
        workers.stop()
    failed = [outcome for _, outcome in replies.outcomes if isinstance(outcome, RequestError)]
    assert {error.code for error in failed} == {"model_failed"}
    assert all("device" not in error.message for error in failed)
    assert len(failed) + sum(isinstance(outcome, dict) for _, outcome in replies.outcomes) == 3
    # Two workers may share the three.
    assert counts.totals["audio_s"] == 3 - len(failed)


def test_a_reply_that_fails_is_nobody_elses_failure(
    decoder: Decoder, workers: Workers, counts: Counts, speech: dict[str, Any]
) -> None:
    replies = Replies(4)
    samples = speech["weather"]

    def broken(_: dict[str, Any] | RequestError) -> None:
        raise OSError("no room")

    late = Options(language="en", deadline_unix_ms=1)
    for options in (Options(language="en", beam_size=1), late, Options(language="en", beam_size=1)):
        workers.submit(
            [
                decoder.job(samples, options, is_cancelled=lambda: False, reply=broken),
                job_for(decoder, samples, replies, "good", beam_size=1),
                decoder.job(samples, options, is_cancelled=lambda: False, reply=broken),
            ]
        )
    workers.submit([job_for(decoder, samples, replies, "good", beam_size=1)])
    replies.wait()
    assert all(isinstance(outcome, dict) for _, outcome in replies.outcomes)
    assert counts.totals["failures"] == 6


def test_stopping_answers_what_was_taken(
    decoder: Decoder, layout: Layout, counts: Counts, speech: dict[str, Any]
) -> None:
    replies = Replies(4)
    workers = Workers(decoder, layout, counts, Place("tiny.en_0_0"), hang_limit_s=WITHIN_S)
    workers.submit([job_for(decoder, speech["weather"], replies, str(n), beam_size=1) for n in range(4)])
    workers.stop()
    assert sorted(name for name, _ in replies.outcomes) == ["0", "1", "2", "3"]


def test_what_nobody_waits_for_is_dropped_and_frees_its_place(layout: Layout, counts: Counts, decoder: Decoder) -> None:
    begun, go_on, gone = threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def decode(self, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
            begun.set()
            assert go_on.wait(WITHIN_S)
            yield from ((job, {"text": ""}) for job in jobs)

    replies = Replies(1 + layout.max_pending)
    samples = np.ones(16000, np.int16)
    one_worker = replace(layout, workers=1)
    workers = Workers(Slow(), one_worker, counts, Place("tiny.en_0_0"), hang_limit_s=WITHIN_S)
    try:
        workers.submit([job_for(decoder, samples, replies, "running")])
        assert begun.wait(WITHIN_S)
        waiting = [
            decoder.job(samples, Options(), is_cancelled=gone.is_set, reply=replies.of("left"))
            for _ in range(layout.max_pending)
        ]
        submitting = threading.Thread(target=workers.submit, args=[waiting])
        submitting.start()
        gone.set()
        # The model is full and busy; only the sweep can let this return.
        submitting.join(WITHIN_S)
        assert not submitting.is_alive()
        assert {outcome.code for _, outcome in replies.outcomes if isinstance(outcome, RequestError)} == {"cancelled"}
        assert len(replies.outcomes) == layout.max_pending
    finally:
        go_on.set()
        workers.stop()
    assert counts.totals["abandoned"] == layout.max_pending
    assert counts.totals["wasted_s"] == 0
