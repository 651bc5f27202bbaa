"""The threads that decode: they take batches from the backlog, answer each job when it is done, and never lose one."""

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, Protocol

from decode import Outcome
from guard import Attempt
from jobs import Backlog, Job
from layout import Layout
from options import RequestError
from place import PARENT_PID, Place
from windows import MAX_FRAMES


class Decodes(Protocol):
    """A Decoder, or one with faults for tests."""

    def decode(self, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, as soon as it is known."""
        ...


class Counts(Protocol):
    """Where the numbers go."""

    def add(self, name: str, amount: float = 1, **label: str) -> None:
        """Add to a counter."""

    def publish(self, pending: int) -> None:
        """Show what was counted; called from one thread only."""


WATCH_EVERY_S = 2.0
SWEEP_EVERY_S = 0.5


class Workers:
    """A fixed set of threads over one backlog of bounded size.

    A worker that brings out nothing of its batch for `hang_limit_s`, or a process whose interpreter no longer runs,
    ends the process with the stacks of all threads in the log: a hang becomes a crash, which can be seen and healed.
    One without work whose place is taken ends as well.
    """

    def __init__(self, decoder: Decodes, layout: Layout, counts: Counts, place: Place, *, hang_limit_s: float) -> None:
        self._decoder = decoder
        self._backlog = Backlog(layout.max_batch)
        self._spread = layout.device == "cpu"
        self._counts = counts
        self._place = place
        self._max_pending = layout.max_pending
        self._hang_limit_s = hang_limit_s
        self._changed = threading.Condition()
        self._pending = 0
        self._idle = 0
        self._stopping = threading.Event()
        self._busy_since_s: dict[int, float] = {}
        self._threads = [threading.Thread(target=self._work, name=f"worker-{n}") for n in range(layout.workers)]
        self._threads.append(threading.Thread(target=self._watch_health, name="watch", daemon=True))
        # A thread of its own: asking whether a caller left may block where tritonserver is gone, which the watch sees.
        self._threads.append(threading.Thread(target=self._sweep, name="sweep", daemon=True))
        self._arm()
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: list[Job]) -> None:
        """Take the jobs over. Blocks while `max_pending` wait, so that what is more stays in Triton's bounded queue."""
        with self._changed:
            self._pending += len(jobs)
            for job in jobs:
                self._backlog.add(job)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending < self._max_pending)

    def stop(self) -> None:
        """Answer what was taken, then end the threads."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._take():
            started_s = time.monotonic()
            self._busy_since_s[threading.get_ident()] = started_s
            try:
                self._run(batch)
            finally:
                del self._busy_since_s[threading.get_ident()]
                self._counts.add("busy_s", time.monotonic() - started_s)

    def _take(self) -> list[Job]:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: len(self._backlog) or self._stopping.is_set())
            takers = self._idle if self._spread else 1
            self._idle -= 1
            return self._backlog.take(time.monotonic(), takers)

    def _run(self, batch: list[Job]) -> None:
        waiting = set(batch)
        started_s = time.monotonic()
        try:
            for job in batch:
                if error := job.abandoned(time.time() * 1000):
                    waiting.remove(job)
                    self._answer(job, error)
            alive = [job for job in batch if job in waiting]
            if alive:
                self._counts.add("batches", size=str(len(alive)))
                self._counts.add("windows", len(alive), frames=str(alive[0].attempt.frames))
            for job, outcome in self._decoder.decode(alive):
                waiting.remove(job)
                self._busy_since_s[threading.get_ident()] = time.monotonic()
                if isinstance(outcome, Attempt):
                    self._again(job, outcome)
                else:
                    self._answer(job, outcome, spent_s=(time.monotonic() - started_s) / len(alive))
        except Exception:  # a boundary: whatever breaks in a batch, each of its requests gets an answer
            traceback.print_exc(file=sys.stderr)
            for job in waiting:
                self._counts.add("failures")
                self._answer(job, RequestError("model_failed", "the model could not decode this utterance"))

    def _again(self, job: Job, attempt: Attempt) -> None:
        if attempt.is_rest:
            self._counts.add("continued")
        else:
            self._counts.add("guarded" if job.attempt.frames < MAX_FRAMES else "fallbacks")
        job.attempt = attempt
        with self._changed:
            self._backlog.add(job)
            self._changed.notify()

    def _answer(self, job: Job, outcome: "dict[str, Any] | RequestError", spent_s: float = 0.0) -> None:
        abandoned = job.abandoned(time.time() * 1000)
        if abandoned:
            self._counts.add("abandoned")
            self._counts.add("wasted_s", spent_s)
        elif isinstance(outcome, dict):
            self._counts.add("audio_s", job.start_s + job.duration_s)
        try:
            job.answer(abandoned or outcome)
        except Exception:  # a boundary: an answer that Triton can't take is no other request's failure
            self._counts.add("failures")
            traceback.print_exc(file=sys.stderr)
        finally:
            with self._changed:
                self._pending -= 1
                self._changed.notify_all()

    def _sweep(self) -> None:
        while not self._stopping.wait(SWEEP_EVERY_S):
            self.drop_abandoned()

    def drop_abandoned(self) -> None:
        """Answer what nobody waits for any more before a batch takes it, so that it holds no place."""
        with self._changed:
            waiting = self._backlog.waiting()
        # Asked without the lock: each question goes to Triton and back.
        now_unix_ms = time.time() * 1000
        abandoned = {job: error for job in waiting if (error := job.abandoned(now_unix_ms))}
        with self._changed:
            dropped = self._backlog.drop(abandoned)
        for job in dropped:
            self._answer(job, abandoned[job])

    def _watch_health(self) -> None:
        while not self._stopping.wait(WATCH_EVERY_S):
            if os.getppid() != PARENT_PID:
                os._exit(1)  # tritonserver is gone; nobody else ends an orphaned stub
            if not self._busy_since_s and not len(self._backlog) and self._place.is_taken():
                print("tritone: this process was replaced and is asked nothing: it ends", file=sys.stderr, flush=True)
                os._exit(1)
            now_s = time.monotonic()
            if all(now_s - since_s < self._hang_limit_s for since_s in list(self._busy_since_s.values())):
                self._arm()
            else:
                faulthandler.dump_traceback(all_threads=True)
                os._exit(1)
            self._counts.publish(self._pending)
        faulthandler.cancel_dump_traceback_later()

    def _arm(self) -> None:
        # The timer is C and needs no interpreter lock, so it fires also when nothing in Python can run.
        faulthandler.dump_traceback_later(self._hang_limit_s + WATCH_EVERY_S, exit=True)
