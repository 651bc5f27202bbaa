"""Knows whether the model answers: by real requests, and by a canary where there are none."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Protocol

from gateway.core.deadline import Deadline
from gateway.core.errors import DeadlineExceeded, ModelFailed, ModelUnavailable, Overloaded, TritoneError
from gateway.telemetry import Telemetry

logger = logging.getLogger(__name__)

# While the model is away it is asked this often, so that the door opens soon after it is back.
_RETRY_S = 0.5


class Probe(Protocol):
    """What can be asked of Triton without a request."""

    async def canary(self, model: str, *, deadline: Deadline) -> None:
        """A real, cheap pass through `model`. Raises a TritoneError."""
        ...

    async def ready_models(self, *, deadline: Deadline) -> tuple[str, ...]:
        """The models that are loaded. Raises a TritoneError."""
        ...


class ModelWatch:
    """The state of one model, kept by `run`; `problem` says why a request would fail now."""

    def __init__(self, probe: Probe, telemetry: Telemetry, *, model: str, interval_s: float, timeout_s: float) -> None:
        self.model = model
        self.served: tuple[str, ...] = ()
        self._probe = probe
        self._telemetry = telemetry
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._suspected = asyncio.Event()
        self._failure: str | None = "the model has not answered yet"
        self._answered_at_s = -float("inf")

    @property
    def problem(self) -> str | None:
        """Why a request would not be served, or None. An answer that is too old is a problem too."""
        if self._failure is None and time.monotonic() - self._answered_at_s > 2 * (self._interval_s + self._timeout_s):
            return "the model has not answered lately"
        return self._failure

    def answered(self, model: str) -> None:
        """A request was served."""
        if model == self.model:
            if self._failure is not None:
                logger.info("the model answers", extra={"fields": {"model": model}})
            self._failure = None
            self._answered_at_s = time.monotonic()
            self._telemetry.model_ready.set(1)

    def failed(self, model: str, error: TritoneError) -> None:
        """A request failed: an unavailable model counts at once, a failure or a missed deadline is looked into."""
        if model == self.model and isinstance(error, ModelUnavailable):
            self._give_up("the model can't be reached")
        if model == self.model and isinstance(error, ModelUnavailable | ModelFailed | DeadlineExceeded):
            self._suspected.set()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            if self._failure is not None:
                await asyncio.sleep(_RETRY_S)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval_s):
                        await self._suspected.wait()
            suspected = self._suspected.is_set()
            self._suspected.clear()
            await self.check(forced=suspected)

    async def check(self, *, forced: bool = False) -> None:
        """Asks Triton for its models, and the model for an answer unless it gave one lately (or if `forced`)."""
        deadline = Deadline.after(self._timeout_s, now_s=time.monotonic())
        lately = time.monotonic() - self._answered_at_s < self._interval_s
        asked_at_s = time.monotonic()
        try:
            self.served = await self._probe.ready_models(deadline=deadline)
            if lately and self._failure is None and not forced:
                return
            await self._probe.canary(self.model, deadline=deadline)
        except Overloaded:
            # A full queue is a model at work; real answers or their absence tell the rest.
            self._telemetry.canaries.labels("overloaded").inc()
        except TritoneError as error:
            self._telemetry.canaries.labels(error.reason).inc()
            # Under load the canary waits behind real requests, whose answers count as much.
            if not (isinstance(error, DeadlineExceeded) and self._answered_at_s > asked_at_s):
                self._give_up(f"the model failed its check: {error.reason}")
        else:
            self._telemetry.canaries.labels("ok").inc()
            self.answered(self.model)

    def _give_up(self, reason: str) -> None:
        if self._failure is None:
            logger.error("the model does not answer", extra={"fields": {"model": self.model, "reason": reason}})
        self._failure = reason
        self._telemetry.model_ready.set(0)
