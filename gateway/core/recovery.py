"""The warden's decisions about one model: when it is loaded, healed, or replaced because it has grown."""

from dataclasses import dataclass
from enum import StrEnum


class Sign(StrEnum):
    """What was seen of a model."""

    ALIVE = "alive"
    LATE = "late"
    FAILS = "fails"
    DEAD = "dead"
    ABSENT = "absent"
    LOADING = "loading"
    UNREACHABLE = "unreachable"


# A model with one of these has a process, which can be asked.
_THERE = (Sign.ALIVE, Sign.LATE, Sign.FAILS)


class Step(StrEnum):
    """What to do about it. HEAL is unload and load: Triton takes a load alone for done where a dead model is loaded."""

    WATCH = "watch"
    HEAL = "heal"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """A model is healed after `failures` unusable canaries in a row, or when it was late for `late_s` on end.

    `late_s` is well above the time after which the model's process ends itself when it hangs: this is for the hang
    that its own watch does not see. The pause after an attempt that failed doubles from the least to the longest.
    """

    failures: int = 3
    late_s: float = 180.0
    min_pause_s: float = 1.0
    max_pause_s: float = 60.0


class Recovery:
    """Says what to do about what is seen of one model. `now_s` is any clock that does not go back, always the same."""

    def __init__(self, limits: RecoveryLimits) -> None:
        self._limits = limits
        self._failures = 0
        self._late_since_s: float | None = None
        self._pause_s = limits.min_pause_s
        self._not_before_s = -float("inf")

    def canary(self, sign: Sign, *, now_s: float) -> None:
        """Takes a canary's outcome: ALIVE, LATE or FAILS. Any other sign is not a canary's to give."""
        self._failures = self._failures + 1 if sign is Sign.FAILS else 0
        if sign is Sign.LATE:
            self._late_since_s = now_s if self._late_since_s is None else self._late_since_s
        else:
            self._late_since_s = None
        if sign is Sign.ALIVE:
            self._pause_s = self._limits.min_pause_s

    def renewed(self) -> None:
        """There is another process, or there will be: what canaries found says nothing of it."""
        self._failures = 0
        self._late_since_s = None

    def decide(self, sign: Sign, *, wanted: bool, now_s: float) -> Step:
        """The step for the process as it is seen now. One that nobody wants loaded is left alone while it is absent."""
        if now_s < self._not_before_s:
            return Step.WATCH
        if sign is Sign.DEAD or (sign in _THERE and self._useless(now_s)):
            return Step.HEAL
        return Step.LOAD if sign is Sign.ABSENT and wanted else Step.WATCH

    def attempted(self, *, loaded: bool, now_s: float) -> None:
        """A step was taken. What was loaded still has to pass a canary; until then it counts as failed."""
        self._not_before_s = now_s + (self._limits.min_pause_s if loaded else self._pause_s)
        self._pause_s = min(self._limits.max_pause_s, 2 * self._pause_s)
        self.renewed()

    def _useless(self, now_s: float) -> bool:
        late_s = 0.0 if self._late_since_s is None else now_s - self._late_since_s
        return self._failures >= self._limits.failures or late_s >= self._limits.late_s


class Recycling:
    """Says when a model's process has grown so much that a fresh one should take its place."""

    # A process that was as large when it was new would not be smaller the next time.
    _GROWTH = 1.25

    def __init__(self, *, limit_bytes: int, min_interval_s: float, now_s: float) -> None:
        self.limit_bytes = limit_bytes
        self._min_interval_s = min_interval_s
        self._started_at_s = now_s
        self._least_bytes: float = float("inf")

    def started(self, *, now_s: float) -> None:
        """There is a fresh process."""
        self._started_at_s = now_s
        self._least_bytes = float("inf")

    def due(self, resident_bytes: int, *, now_s: float) -> bool:
        """Whether a process of this size should be replaced now."""
        # The least, not the first: what is seen first may still be the size of the process before.
        self._least_bytes = min(self._least_bytes, resident_bytes)
        return (
            resident_bytes > self.limit_bytes
            and resident_bytes > self._GROWTH * self._least_bytes
            and now_s - self._started_at_s >= self._min_interval_s
        )
