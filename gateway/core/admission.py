"""Who may come in, who may use the model, and when the others should come back: counts and limits, no waiting."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Self

from gateway.core.errors import Overloaded, QuotaExceeded

# An exponential mean over about the last 20 utterances follows a change of load within seconds.
_MEAN_WEIGHT = 0.1
# What is let in should be in time although the next utterances may be longer than the last.
_MARGIN = 1.5
_RETRY_AFTER_MIN_S = 1.0
_RETRY_AFTER_MAX_S = 60.0


class Lane(Enum):
    """Who an utterance is for, in the order in which they go.

    People who talk now, a file, an interim result that may as well be left out, and what comes late in a long file.
    """

    LIVE = auto()
    FILE = auto()
    INTERIM = auto()
    LONG = auto()


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Uploads and requests at once, altogether and of one caller, utterances in the model, and what may wait for it.

    An interim result is let in only while fewer than `interim_permits` utterances are in the model that are not of long
    files, and waits `interim_wait_s` at most for that. Long files have `long_permits` while others are here.
    """

    max_requests: int
    permits: int
    max_waiting_utterances: int
    max_waiting_audio_s: float
    interim_permits: int = 2
    interim_wait_s: float = 0.5
    long_permits: int = 2
    max_uploads: int = 256
    max_upload_bytes: int = 4 * 1024**3
    max_requests_per_key: int = 256


class Permit:
    """The right to use what was counted; a context manager that gives it back exactly once."""

    __slots__ = ("_release", "lane")

    def __init__(self, release: Callable[[], None], lane: Lane = Lane.FILE) -> None:
        self._release: Callable[[], None] | None = release
        self.lane = lane

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
        taken = Permit(self.release, self.lane)
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
        self.uploads = 0
        self.upload_bytes = 0
        self.requests = 0
        self._requests_of: Counter[str] = Counter()
        self.sessions = 0
        self._in_flight = dict.fromkeys(Lane, 0)
        self._waiting = dict.fromkeys(Lane, 0)
        self._waiting_audio_s = dict.fromkeys(Lane, 0.0)
        self._interval_s: float | None = None

    @property
    def in_flight(self) -> int:
        """Utterances in the model."""
        return sum(self._in_flight.values())

    @property
    def waiting(self) -> int:
        """Utterances that wait for a permit."""
        return sum(self._waiting.values())

    @property
    def waiting_audio_s(self) -> float:
        """How much audio they are."""
        return sum(self._waiting_audio_s.values())

    @property
    def full(self) -> str | None:
        """Why `arrive` would refuse, or None."""
        if self.uploads >= self.limits.max_uploads:
            return "too many uploads are in progress"
        return self._crowded

    def congested(self, lane: Lane) -> str | None:
        """Why nobody who brings more audio of `lane` should come in, or None: what goes before it is too much."""
        waiting = sum(self._waiting[one] for one in _up_to(lane))
        audio_s = sum(self._waiting_audio_s[one] for one in _up_to(lane))
        if waiting >= self.limits.max_waiting_utterances or audio_s >= self.limits.max_waiting_audio_s:
            return "too much audio is waiting for the model"
        return None

    @property
    def _crowded(self) -> str | None:
        if self.requests >= self.limits.max_requests:
            return "too many requests are in progress"
        return self.congested(Lane.LONG)

    def permit_is_free(self, lane: Lane = Lane.FILE) -> bool:
        """Whether `admit` would give a permit."""
        limits, in_flight, long = self.limits, self.in_flight, self._in_flight[Lane.LONG]
        if in_flight >= limits.permits:
            return False
        if lane is Lane.INTERIM:
            return in_flight - long < limits.interim_permits
        others = self.sessions or in_flight > long
        return lane is not Lane.LONG or not others or long < limits.long_permits

    @property
    def retry_after_s(self) -> float:
        """Whole seconds until what is here now is probably served, 1 to 60."""
        due_s = (self.in_flight + self.waiting) * (self._interval_s or 0.0)
        return float(min(_RETRY_AFTER_MAX_S, max(_RETRY_AFTER_MIN_S, math.ceil(due_s))))

    def require_time(self, budget_s: float, lane: Lane = Lane.FILE) -> None:
        """Raises Overloaded when an utterance that comes now would probably not be answered within `budget_s`."""
        ahead = self.in_flight + sum(self._waiting[one] for one in _up_to(lane))
        if ahead >= self.limits.permits and _MARGIN * (ahead + 1) * (self._interval_s or 0.0) > budget_s:
            raise self.overloaded("what waits already takes longer than this request may")

    def claim(self, caller: str) -> Permit:
        """One of the requests that a caller may have open. Raises QuotaExceeded."""
        if self._requests_of[caller] >= self.limits.max_requests_per_key:
            raise QuotaExceeded("You have too many requests open.", retry_after_s=self.retry_after_s)
        self._requests_of[caller] += 1
        return Permit(lambda: self._unclaim(caller))

    def keep(self, upload_bytes: int) -> None:
        """Counts more bytes of an upload, until they are dropped. Raises Overloaded when all together are too many."""
        if self.upload_bytes + upload_bytes > self.limits.max_upload_bytes:
            raise self.overloaded("there is no room for more uploads")
        self.upload_bytes += upload_bytes

    def drop(self, upload_bytes: int) -> None:
        """So many bytes of an upload are gone."""
        self.upload_bytes -= upload_bytes

    def arrive(self) -> Permit:
        """Lets a request begin its upload, which may be slow and takes no place of those inside. Raises Overloaded."""
        if reason := self.full:
            raise self.overloaded(reason)
        self.uploads += 1
        return Permit(self._arrived)

    def enter(self) -> Permit:
        """Lets a request in whose upload is complete. Raises Overloaded."""
        if reason := self._crowded:
            raise self.overloaded(reason)
        self.requests += 1
        return Permit(self._leave)

    def admit(self, lane: Lane = Lane.FILE) -> Permit:
        """A permit for one utterance. Raises Overloaded when none is free for its lane."""
        if not self.permit_is_free(lane):
            raise self.overloaded("the model is busy")
        self._in_flight[lane] += 1
        return Permit(lambda: self._give_back(lane), lane)

    def attend(self) -> Permit:
        """A live session is here, for as long as this is held."""
        self.sessions += 1
        return Permit(self._part)

    def wait(self, audio_s: float, lane: Lane = Lane.FILE) -> Permit:
        """A place among those who wait for a permit.

        The limits on them act at the door alone: who is inside should not fail half-way. So there are never more than
        those limits, and what all requests and sessions inside may ask at once.
        """
        self._waiting[lane] += 1
        self._waiting_audio_s[lane] += audio_s
        return Permit(lambda: self._stop_waiting(audio_s, lane))

    def served(self, elapsed_s: float) -> None:
        """Takes in how long one utterance was in the model, while its permit is still held.

        By Little's law that over the number in the model is the time from one answer to the next, which is what those
        who come later have to wait for each that is ahead of them.
        """
        interval_s = elapsed_s / max(1, self.in_flight)
        mean_s = interval_s if self._interval_s is None else self._interval_s
        self._interval_s = mean_s + _MEAN_WEIGHT * (interval_s - mean_s)

    def overloaded(self, reason: str) -> Overloaded:
        """The refusal, with the time after which to come back."""
        return Overloaded(f"The service is at its limit: {reason}.", retry_after_s=self.retry_after_s)

    def _unclaim(self, caller: str) -> None:
        self._requests_of[caller] -= 1
        if not self._requests_of[caller]:
            del self._requests_of[caller]

    def _arrived(self) -> None:
        self.uploads -= 1

    def _leave(self) -> None:
        self.requests -= 1

    def _part(self) -> None:
        self.sessions -= 1

    def _give_back(self, lane: Lane) -> None:
        self._in_flight[lane] -= 1

    def _stop_waiting(self, audio_s: float, lane: Lane) -> None:
        self._waiting[lane] -= 1
        # Sums of floats drift; nobody waiting is exactly no audio.
        self._waiting_audio_s[lane] = self._waiting_audio_s[lane] - audio_s if self._waiting[lane] else 0.0


def _up_to(lane: Lane) -> list[Lane]:
    """What goes before `lane`, and itself."""
    return [one for one in Lane if one.value <= lane.value]
