"""Whether another process has taken this one's place: now and then Triton keeps for ever one that it replaced."""

import os
import time
from contextlib import suppress

import psutil

# Read before the weights are loaded: by then tritonserver may be gone.
PARENT_PID = os.getppid()
RETIRED_AFTER_S = 120.0


class Place:
    """One instance of a model, in this process and perhaps in its successor.

    Triton asks whoever serves, and the gateway feels that one's pulse every second. `retired_after_s`: who has had a
    successor and was asked nothing for so long serves nobody.
    """

    def __init__(self, instance: str, retired_after_s: float = RETIRED_AFTER_S) -> None:
        """`instance` is Triton's name for it."""
        self._instance = instance
        self._retired_after_s = retired_after_s
        self._process = psutil.Process()
        self._asked_at_s = time.monotonic()

    def asked(self) -> None:
        """Triton had a request for it."""
        self._asked_at_s = time.monotonic()

    def is_taken(self) -> bool:
        """Whether the successor serves in its place."""
        if time.monotonic() - self._asked_at_s < self._retired_after_s:
            return False
        with suppress(psutil.NoSuchProcess):
            return any(map(self._succeeds, psutil.Process(PARENT_PID).children()))
        return False

    def _succeeds(self, sibling: psutil.Process) -> bool:
        # Their command lines tell the program, the model's file, and somewhere the instance.
        with suppress(psutil.Error):
            line = sibling.cmdline()
            is_same = line[:2] == self._process.cmdline()[:2] and self._instance in line
            settled_at_s = time.time() - self._retired_after_s
            return is_same and self._process.create_time() < sibling.create_time() < settled_at_s
        return False
