"""Knows whether one model may be asked, lets utterances wait until it may, and gives up on what a dead process took."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.core.breaker import Breaker
from gateway.core.deadline import Deadline
from gateway.core.errors import DeadlineExceeded, ModelFailed, ModelUnavailable, TritoneError
from gateway.telemetry import Telemetry

logger = logging.getLogger(__name__)

# Longer ones say nothing of the next: somebody unloaded it, or had to come and mend something.
_LONGEST_RECOVERY_S = 60.0
NOT_LOADED = "the model is not loaded"
_GONE = "The model can't be reached at the moment."


class Changes:
    """Lets many wait until something changes."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something has changed."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self) -> None:
        """Returns at the next change."""
        await self._next.wait()


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """An answer older than `max_age_s` is a problem. `recovery_s`: how long requests stay away at its first failure."""

    max_age_s: float
    recovery_s: float


class ModelHealth:
    """One model of one Triton as requests see it; `changes` are told when it is to be had again, or will not be."""

    def __init__(self, model: str, endpoint: str, telemetry: Telemetry, limits: HealthLimits, changes: Changes) -> None:
        self.model = model
        self.unloaded = False
        self.suspected = False
        self._breaker = Breaker("the model has not answered yet", now_s=time.monotonic())
        self._endpoint = endpoint
        self._telemetry = telemetry
        self._max_age_s = limits.max_age_s
        self._recovery_s = limits.recovery_s
        self._answered_at_s = -float("inf")
        self._told = ""
        self._changes = changes
        self._attended: dict[asyncio.Timeout, None] = {}
        telemetry.model_ready.labels(endpoint, model).set(0)

    @property
    def refusal(self) -> str | None:
        """Why requests are refused, or None."""
        return self._breaker.reason

    @property
    def problem(self) -> str | None:
        """As `refusal`; and an answer so old that nobody can be looking after the model is a problem too."""
        if self.refusal is None and self.answer_age_s > self._max_age_s:
            return "the model has not answered lately"
        return self.refusal

    @property
    def answer_age_s(self) -> float:
        """Seconds since the model last answered."""
        return time.monotonic() - self._answered_at_s

    @property
    def retry_after_s(self) -> float:
        """When to come back: at the time by which it was back before, and soon if that has passed."""
        return max(1.0, self._recovery_s - self._breaker.open_since(time.monotonic()))

    def lets_in(self, arrived_at_s: float) -> bool:
        """Whether a request that came in then may ask, or wait: it may if that was before the refusing began."""
        return self.refusal is None or (not self.unloaded and self._breaker.opened_at_s > arrived_at_s)

    async def available(self, deadline: Deadline, *, wait_s: float) -> None:
        """Waits for the model, at most until `deadline` and for `wait_s`. Raises ModelUnavailable."""
        try:
            async with asyncio.timeout(min(wait_s, deadline.remaining_s(time.monotonic()))):
                while self.refusal and not self.unloaded:
                    await self._changes.wait()
        except TimeoutError:
            raise self.unavailable() from None
        if self.unloaded:
            raise self.unavailable()

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        """Surrounds the wait for an answer; ends it with ModelUnavailable when `give_up` is called.

        Triton itself never answers what a dead process had taken over.
        """
        try:
            async with asyncio.timeout(None) as wait:
                self._attended[wait] = None
                try:
                    yield
                finally:
                    self._attended.pop(wait, None)
        except TimeoutError:
            if not wait.expired():
                raise
            raise self.unavailable() from None

    def give_up(self) -> None:
        """Nobody will answer what was sent so far."""
        now_s = asyncio.get_running_loop().time()
        for wait in self._attended:
            wait.reschedule(now_s)
        self._attended.clear()

    def answered(self) -> None:
        """A request was served."""
        self._answered_at_s = time.monotonic()

    def failed(self, error: TritoneError) -> None:
        """A request failed: an unavailable model counts at once, a failure or a missed deadline is looked into."""
        if isinstance(error, ModelUnavailable):
            self.trip("the model can't be reached")
        if isinstance(error, ModelUnavailable | ModelFailed | DeadlineExceeded):
            self.suspected = True

    def probe(self) -> None:
        """A canary sets out: it looks into what was suspected so far."""
        self.suspected = False
        self._breaker.probe()

    def passed(self) -> None:
        """The canary came back. Lets requests in unless something else has failed meanwhile."""
        open_s = self._breaker.open_since(time.monotonic())
        if self._breaker.passed():
            if self._has_answered and open_s <= _LONGEST_RECOVERY_S:
                self._recovery_s = open_s
            logger.info("the model answers", extra={"fields": self._named | {"after_s": round(open_s, 1)}})
            self._telemetry.model_ready.labels(self._endpoint, self.model).set(1)
            self._changes.tell()
        self.answered()

    def trip(self, reason: str) -> None:
        """Requests are refused from now on."""
        was_closed = self._breaker.trip(reason, now_s=time.monotonic())
        if was_closed or (not self._has_answered and reason != self._told):
            logger.error("the model does not answer", extra={"fields": self._named | {"reason": reason}})
        self._told = reason
        if was_closed:
            self._telemetry.model_ready.labels(self._endpoint, self.model).set(0)
            self._telemetry.breaker_opened.labels(self._endpoint, self.model).inc()

    @property
    def _has_answered(self) -> bool:
        return self._answered_at_s > 0

    def loaded(self, wanted: bool) -> None:
        """An operator wants it loaded, or not: what waits for an unloaded model has no chance."""
        self.unloaded = not wanted
        if self.unloaded:
            self.trip(NOT_LOADED)
        self._changes.tell()

    def unavailable(self) -> ModelUnavailable:
        """What a request that is refused is told."""
        message = "The model is not loaded." if self.unloaded else _GONE
        return ModelUnavailable(message, retry_after_s=self.retry_after_s)

    @property
    def _named(self) -> dict[str, object]:
        return {"model": self.model, "endpoint": self._endpoint}
