"""Who may come in, who may use the model, and when the others should come back: counts and limits, no waiting."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Self

from gateway.core.errors import Overloaded

# An exponential mean over about the last 20 utterances follows a change of load within seconds.
_MEAN_WEIGHT = 0.1
_FIRST_GUESS_S = 1.0
_RETRY_AFTER_MIN_S = 1.0
_RETRY_AFTER_MAX_S = 60.0


class Lane(Enum):
    """Who an utterance is for: people who talk now, a file, or an interim result that may as well be left out."""

    LIVE = auto()
    FILE = auto()
    INTERIM = auto()


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Requests inside at once, utterances in the model at once, and what may wait for the model.

    An interim result is let in only while fewer than `interim_permits` utterances are in the model, and nobody else
    waits; for that it waits `interim_wait_s` at most.
    """

    max_requests: int
    permits: int
    max_waiting_utterances: int
    max_waiting_audio_s: float
    interim_permits: int = 2
    interim_wait_s: float = 0.5


class Permit:
    """The right to use what was counted; a context manager that gives it back exactly once."""

    __slots__ = ("_release", "audio_s")

    def __init__(self, release: Callable[[], None], audio_s: float = 0.0) -> None:
        self._release: Callable[[], None] | None = release
        self.audio_s = audio_s

    @property
    def held(self) -> bool:
        """Whether it has not been given back."""
        return self._release is not None

    def release(self) -> None:
        """Gives it back; a second call does nothing."""
        if self._release is not None:
            release, self._release = self._release, None
            release()

    def hand_over(self) -> "Permit":
        """The same right in other hands; this object does not hold it any more."""
        taken = Permit(self.release, self.audio_s)
        taken._release, self._release = self._release, None
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Admission:
    """Counts requests and utterances against the limits. Who waits, and in which order, is the caller's matter."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.requests = 0
        self.in_flight = 0
        self.waiting = 0
        self.waiting_audio_s = 0.0
        self._service_s: float | None = None

    @property
    def full(self) -> str | None:
        """Why `enter` would refuse, or None."""
        if self.requests >= self.limits.max_requests:
            return "too many requests are in progress"
        return self.congested

    @property
    def congested(self) -> str | None:
        """Why nobody who brings more audio should come in, or None."""
        if (
            self.waiting >= self.limits.max_waiting_utterances
            or self.waiting_audio_s >= self.limits.max_waiting_audio_s
        ):
            return "too much audio is waiting for the model"
        return None

    def permit_is_free(self, lane: Lane = Lane.FILE) -> bool:
        """Whether `admit` would give a permit."""
        limits = self.limits
        permits = min(limits.permits, limits.interim_permits) if lane is Lane.INTERIM else limits.permits
        return self.in_flight < permits

    @property
    def retry_after_s(self) -> float:
        """Whole seconds until what is here now is probably served, 1 to 60."""
        service_s = _FIRST_GUESS_S if self._service_s is None else self._service_s
        rounds = (self.in_flight + self.waiting) / self.limits.permits
        return float(min(_RETRY_AFTER_MAX_S, max(_RETRY_AFTER_MIN_S, math.ceil(rounds * service_s))))

    def enter(self) -> Permit:
        """Lets a request in, before its body is read. Raises Overloaded."""
        if reason := self.full:
            raise self.overloaded(reason)
        self.requests += 1
        return Permit(self._leave)

    def admit(self, audio_s: float, lane: Lane = Lane.FILE) -> Permit:
        """A permit for one utterance of `audio_s`. Raises Overloaded when none is free for its lane."""
        if not self.permit_is_free(lane):
            raise self.overloaded("the model is busy")
        self.in_flight += 1
        return Permit(self._give_back, audio_s)

    def wait(self, audio_s: float) -> Permit:
        """A place among those who wait for a permit. Raises Overloaded when too many wait.

        The limit on waiting audio acts at the door alone: a request that is inside should not fail half-way for it.
        """
        if self.waiting >= self.limits.max_waiting_utterances:
            raise self.overloaded("too many utterances are waiting for the model")
        self.waiting += 1
        self.waiting_audio_s += audio_s
        return Permit(lambda: self._stop_waiting(audio_s), audio_s)

    def served(self, elapsed_s: float) -> None:
        """Takes the time that the model needed for one utterance into the estimate behind `retry_after_s`."""
        mean_s = elapsed_s if self._service_s is None else self._service_s
        self._service_s = mean_s + _MEAN_WEIGHT * (elapsed_s - mean_s)

    def overloaded(self, reason: str) -> Overloaded:
        """The refusal, with the time after which to come back."""
        return Overloaded(f"The service is at its limit: {reason}.", retry_after_s=self.retry_after_s)

    def _leave(self) -> None:
        self.requests -= 1

    def _give_back(self) -> None:
        self.in_flight -= 1

    def _stop_waiting(self, audio_s: float) -> None:
        self.waiting -= 1
        # Sums of floats drift; nobody waiting is exactly no audio.
        self.waiting_audio_s = self.waiting_audio_s - audio_s if self.waiting else 0.0
