"""Keeps one model alive: feels its pulse, asks it with canaries, and heals or replaces its process."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import DeadlineExceeded, ModelUnavailable, Overloaded, TritoneError
from gateway.core.recovery import Recovery, RecoveryLimits, Recycling, Sign, Step
from gateway.telemetry import Telemetry
from gateway.triton.control import LOADING, READY, Control
from gateway.triton.health import NOT_LOADED, Changes, HealthLimits, ModelHealth
from gateway.triton.orders import Orders, within

logger = logging.getLogger(__name__)

# While the model is away it is looked at this often, so that the door opens soon after it is back.
_RETRY_S: Final = 0.25
# A dead process is told of after 1 to 2.4 s.
_PULSE_TIMEOUT_S: Final = 3.0
# Requests that a dead process took with it keep Triton unloading it for ever, and a new one is loaded beside it.
_UNLOAD_PATIENCE_S: Final = 0.5
_FIRST_GUESS_S: Final = 5.0

_REASONS: Final = {
    Sign.DEAD: "the model's process is gone",
    Sign.ABSENT: NOT_LOADED,
    Sign.LOADING: "the model is being loaded",
    Sign.UNREACHABLE: "Triton can't be reached",
}


@dataclass(frozen=True, slots=True)
class KeeperLimits:
    """How often a model is looked at, how long each thing may take, and what it may hold.

    `alone`: no other Triton could answer what this one has. `restart` starts a Triton of our own afresh, to get rid of
    what `max_leftovers` dead processes left in it.
    """

    heals: bool
    pulse_interval_s: float
    canary_interval_s: float
    canary_timeout_s: float
    load_timeout_s: float
    resident_limit_bytes: int
    recycle_interval_s: float
    alone: bool = True
    restart: Callable[[], None] | None = None
    max_leftovers: int = 4
    recovery: RecoveryLimits = field(default_factory=RecoveryLimits)


class Keeper:
    """The care for one model of one Triton. `wanted`: it is loaded when it is found absent."""

    def __init__(
        self, model: str, triton: Control, telemetry: Telemetry, limits: KeeperLimits, changes: Changes, *, wanted: bool
    ) -> None:
        self.model = model
        self.resident_bytes: int | None = None
        max_age_s = 2 * (limits.canary_interval_s + limits.canary_timeout_s)
        self.health = ModelHealth(model, triton.address, telemetry, HealthLimits(max_age_s, _FIRST_GUESS_S), changes)
        self._triton = triton
        self._telemetry = telemetry
        self._limits = limits
        self._wanted = wanted
        self._recovery = Recovery(limits.recovery)
        self._recycling = Recycling(
            limit_bytes=limits.resident_limit_bytes, min_interval_s=limits.recycle_interval_s, now_s=time.monotonic()
        )
        self._was_away = False
        self._absent = False
        self._leftovers = 0
        self._canary_due = asyncio.Event()
        self._orders = Orders(model, triton, timeout_s=limits.load_timeout_s)

    @property
    def idle(self) -> bool:
        """Whether the model is not loaded, and nobody here wants it to be."""
        return self.health.unloaded or (self._absent and not self._wanted)

    async def run(self) -> None:
        """Looks after the model until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feel_pulses())
            group.create_task(self._send_canaries())

    async def check(self) -> None:
        """One look, and a canary if it is due."""
        await self.look()
        if self._canary_due.is_set():
            await self.ask()

    async def look(self) -> None:
        """Feels the pulse, and does what the recovery decides."""
        felt_at_s, before = time.monotonic(), self._orders.turns
        sign = await self._triton.pulse(self.model, deadline=within(_PULSE_TIMEOUT_S))
        if sign is Sign.ABSENT and await self._orders.state() == LOADING:
            sign = Sign.LOADING
        if before != self._orders.turns:
            # That may have been another process; who waits for the answer of a dead one is told with the next canary.
            self._was_away = self._was_away or sign is Sign.DEAD
            return
        self._absent = sign is Sign.ABSENT
        if sign in _REASONS:
            self.health.trip(_REASONS[sign])
            self._was_away = self._was_away or sign is not Sign.UNREACHABLE
            self._recovery.renewed()
        else:
            self._note_life(sign, time.monotonic() - felt_at_s)
        if sign is Sign.DEAD:
            self.health.give_up()
        step = self._recovery.decide(sign, wanted=self._wanted, now_s=time.monotonic())
        if step is not Step.WATCH and self._limits.heals and not self._orders.under_way:
            async with self._orders.giving():
                await self._restore(step, sign)

    async def ask(self) -> None:
        """Sends a canary, and takes its outcome."""
        self._canary_due.clear()
        asked_at_s = time.monotonic()
        self.health.probe()
        try:
            async with self.health.attending():
                await self._triton.canary(self.model, deadline=within(self._limits.canary_timeout_s))
        except Overloaded:
            # A full queue is a model at work; real answers or their absence tell the rest.
            self._telemetry.canaries.labels(self._triton.address, "overloaded").inc()
        except TritoneError as error:
            self._telemetry.canaries.labels(self._triton.address, error.reason).inc()
            self._canary_failed(error, time.monotonic() - asked_at_s)
        else:
            self._telemetry.canaries.labels(self._triton.address, "ok").inc()
            self._canary_passed()

    async def load(self) -> None:
        """Loads the model at an operator's wish; a loaded one stays. Raises ModelUnavailable."""
        self._wanted = True
        self.health.loaded(wanted=True)
        async with self._orders.giving():
            await self._orders.load()
            self._renewed()
        await self._in_service()

    async def reload(self) -> None:
        """A fresh process at an operator's wish, without a pause where the model serves. Raises ModelUnavailable."""
        if not self.health.refusal:
            await self.replace("operator")
            return
        self._wanted = True
        self.health.loaded(wanted=True)
        before = self._orders.turns
        async with self._orders.giving():
            # Triton takes a load for done where a broken model is loaded. One that was loaded while this waited for its
            # turn is not the broken one.
            is_same = self._orders.turns == before + 1
            if is_same and await self._orders.state() == READY:
                self.health.give_up()
                await self._load_afresh(Step.HEAL)
                self._recovery.renewed()
            else:
                await self._orders.load()
            self._renewed()
        await self._in_service()

    async def unload(self) -> None:
        """Unloads the model at an operator's wish, after what it has been asked. Raises ModelUnavailable."""
        self._wanted = False
        self.health.loaded(wanted=False)
        async with self._orders.giving():
            # Whoever wants it back does not wait for a dead process, which Triton goes on unloading for ever.
            await self._orders.unload(ends=lambda: self._wanted)

    async def replace(self, why: str) -> None:
        """A fresh process takes the place of this one, which answers what it was asked. Raises ModelUnavailable."""
        async with self._orders.giving():
            logger.warning("replacing the model's process", extra={"fields": self._named | {"reason": why}})
            try:
                await self._orders.replace()
            except TritoneError as error:
                self._telemetry.replacements.labels(self._triton.address, self.model, why, error.reason).inc()
                raise
            finally:
                self._renewed()
            self._recovery.renewed()
            self._telemetry.replacements.labels(self._triton.address, self.model, why, "ok").inc()
            self.health.suspected = True

    def _renewed(self) -> None:
        """There is a fresh process, or there will be, whose size nobody has seen."""
        self._recycling.started(now_s=time.monotonic())
        self.resident_bytes = None
        self._telemetry.resident_bytes.remove_by_labels({"endpoint": self._triton.address, "model": self.model})

    async def weigh(self, resident_bytes: int) -> None:
        """Takes the size of the model's process, and replaces one that has grown over its limit."""
        self.resident_bytes = resident_bytes
        self._telemetry.resident_bytes.labels(self._triton.address, self.model).set(resident_bytes)
        due = self._recycling.due(resident_bytes, now_s=time.monotonic())
        # Who waited for another order would find another process.
        if due and self._limits.heals and self.health.problem is None and not self._orders.under_way:
            with suppress(TritoneError):
                await self.replace("memory")

    async def _in_service(self) -> None:
        await self.health.available(within(self._limits.load_timeout_s), wait_s=self._limits.canary_timeout_s)

    async def _feel_pulses(self) -> None:
        while True:
            await self.look()
            is_awaited = self.health.problem and not self.idle
            await asyncio.sleep(_RETRY_S if is_awaited else self._limits.pulse_interval_s)

    async def _send_canaries(self) -> None:
        while True:
            await self._canary_due.wait()
            await self.ask()

    def _note_life(self, sign: Sign, elapsed_s: float) -> None:
        if sign is not Sign.ALIVE and self.health.answer_age_s > elapsed_s:
            self.health.suspected = True
        due = self.health.suspected or self.health.answer_age_s > self._limits.canary_interval_s
        if due or self.health.problem:
            self._canary_due.set()

    def _canary_passed(self) -> None:
        self._recovery.canary(Sign.ALIVE, now_s=time.monotonic())
        if self._was_away:
            # Whoever still waits was heard by a process that is no more, whoever replaced it.
            self.health.give_up()
            self._was_away = False
        if self.health.unloaded and not self._orders.under_way:
            # Not by us: Triton was restarted, or another operator was there.
            self._wanted = True
            self.health.loaded(wanted=True)
        self.health.passed()

    def _canary_failed(self, error: TritoneError, elapsed_s: float) -> None:
        if isinstance(error, ModelUnavailable):
            self.health.trip("the model can't be reached")
            return
        late = isinstance(error, DeadlineExceeded)
        # Under load the canary waits behind real requests, whose answers count as much.
        if late and self.health.answer_age_s < elapsed_s:
            return
        self._recovery.canary(Sign.LATE if late else Sign.FAILS, now_s=time.monotonic())
        self.health.trip(f"the model failed its check: {error.reason}")
        if late and not self._limits.alone:
            self.health.give_up()

    async def _restore(self, step: Step, sign: Sign) -> None:
        began_at_s = time.monotonic()
        fields = self._named | {"step": step.value, "sign": sign.value}
        logger.warning("restoring the model", extra={"fields": fields})
        outcome = "loaded"
        try:
            if step is Step.HEAL:
                # What is taken away here is brought back, however often that fails.
                self._wanted = True
                self.health.trip("the model is being healed")
                self.health.give_up()
            if step is Step.HEAL and self._limits.restart and self._leftovers >= self._limits.max_leftovers:
                outcome = "restarted"
                self._leftovers = 0
                self._limits.restart()
            else:
                await self._load_afresh(step)
            self._renewed()
        except TritoneError as error:
            outcome = error.reason
            logger.error("the model could not be restored", extra={"fields": fields | {"code": outcome}})
        self._recovery.attempted(loaded=outcome in ("loaded", "restarted"), now_s=time.monotonic())
        self._telemetry.restorations.labels(self._triton.address, self.model, step.value, sign.value, outcome).inc()
        self._telemetry.restoration_seconds.observe(time.monotonic() - began_at_s)

    async def _load_afresh(self, step: Step) -> None:
        if step is Step.HEAL:
            try:
                self._leftovers += not await self._orders.unload(patience_s=_UNLOAD_PATIENCE_S)
            except DeadlineExceeded:
                # Whoever does not even take an order is not healed by more of them.
                self._leftovers = self._limits.max_leftovers
                raise
        await self._orders.load()

    @property
    def _named(self) -> dict[str, object]:
        return {"model": self.model, "endpoint": self._triton.address}
