"""Faults on demand, for tests alone: a request asks for one, and the model does it in the middle of its batch.

Only where TRITONE_TEST_FAULTS=1 is in the environment; elsewhere `fault` is a parameter like any unknown one. With
TRITONE_TEST_FAULTS=leak each decoded job leaves something behind, unasked.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decode import Decoder, Outcome
from jobs import Job
from options import RequestError

FORGET = "forget"
FOREVER_S = 1_000_000
GROWTH_BYTES = 256 * 1024 * 1024
LEAK_BYTES = 512 * 1024


class Faults:
    """A decoder that does what was ordered before it decodes."""

    def __init__(self, decoder: Decoder, *, leaks: bool = False) -> None:
        self._decoder = decoder
        self._leaks = leaks
        self._ordered: dict[int, str] = {}
        self._kept: list[NDArray[np.uint8]] = []
        self._kinds: dict[object, Callable[[], object]] = {
            "exit": lambda: os._exit(1),
            "spin": _hold_the_interpreter,
            "sleep": lambda: time.sleep(FOREVER_S),
            "grow": lambda: self._kept.append(np.ones(GROWTH_BYTES, np.uint8)),
            FORGET: lambda: print("forgotten", file=sys.stderr, flush=True),
        }

    def order(self, job: Job, kind: object) -> None:
        """Have it happen when `job` is decoded. Raises RequestError for a kind there is not."""
        if kind not in self._kinds:
            raise RequestError("invalid_parameter", f"fault is one of {', '.join(map(str, self._kinds))}", "fault")
        self._ordered[id(job)] = str(kind)

    def decode(self, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
        """As Decoder.decode, without the jobs that are to be forgotten."""
        yield from self._decoder.decode([job for job in jobs if self._happens(job) != FORGET])

    def _happens(self, job: Job) -> str | None:
        """Does what was ordered for `job`, and returns its kind."""
        kind = self._ordered.pop(id(job), None)
        if kind:
            self._kinds[kind]()
        if self._leaks:
            self._kept.append(np.ones(LEAK_BYTES, np.uint8))
        return kind


def _hold_the_interpreter() -> None:
    sleep: Any = ctypes.PyDLL(None).sleep  # unlike CDLL it keeps the lock
    sleep(FOREVER_S)


def faults_of(decoder: Decoder) -> Faults | None:
    """The faults of this process; None where there are to be none."""
    wanted = os.environ.get("TRITONE_TEST_FAULTS")
    return Faults(decoder, leaks=wanted == "leak") if wanted in ("1", "leak") else None
