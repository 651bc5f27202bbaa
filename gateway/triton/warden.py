"""The one watcher of a Triton's models: which there are, whether each may be asked, and what operators want of them."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.core.deadline import Deadline
from gateway.core.errors import NotFound, Overloaded, TritoneError
from gateway.telemetry import Telemetry
from gateway.triton.control import READY, Control, IndexEntry
from gateway.triton.health import Changes, ModelHealth
from gateway.triton.keeper import Keeper, KeeperLimits
from gateway.triton.memory import resident_bytes

logger = logging.getLogger(__name__)

_INDEX_EVERY_S: Final = 2.0
_INDEX_TIMEOUT_S: Final = 5.0
_MEMORY_EVERY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class WardenLimits:
    """Which models are kept loaded, the default first, and how many may be watched.

    `metrics_address` (HOST:PORT) is where Triton tells how large the models are; None where that is not watched.
    """

    models: tuple[str, ...]
    max_models: int
    metrics_address: str | None
    keeper: KeeperLimits


class Warden:
    """Looks after one Triton: a keeper for each model; those named at start are loaded when they are found absent.

    Others that Triton has loaded are found in its index, up to `max_models` altogether.
    """

    def __init__(self, triton: Control, telemetry: Telemetry, limits: WardenLimits, changes: Changes) -> None:
        self.index: tuple[IndexEntry, ...] = ()
        self.reachable = False
        self.foreign: set[str] = set()
        self._triton = triton
        self._telemetry = telemetry
        self._limits = limits
        self._changes = changes
        self._tasks: asyncio.TaskGroup | None = None
        self._keepers: dict[str, Keeper] = {}
        self._tasks_of: dict[str, asyncio.Task[None]] = {}
        self._left_out: set[str] = set()
        for model in limits.models:
            self._watch(model, wanted=True)

    @property
    def problem(self) -> str | None:
        """Why a request to the default model would not be served now, or None."""
        return self._keepers[self._limits.models[0]].health.problem

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that are watched, the default first."""
        return tuple(self._keepers)

    def keeper(self, model: str) -> Keeper:
        """The keeper of a model. Raises NotFound."""
        if model not in self._keepers:
            raise NotFound("There is no such model.", code="model_not_found", param="model")
        return self._keepers[model]

    def health(self, model: str) -> ModelHealth:
        """How a model is. Raises NotFound."""
        return self.keeper(model).health

    async def load(self, model: str) -> None:
        """Loads a model of the repository. Raises NotFound, ModelUnavailable, Overloaded when too many are watched."""
        await self.discover()
        if model not in self._keepers and any(entry.name == model for entry in self.index):
            if not self._has_room():
                raise Overloaded(f"{self._limits.max_models} models are served already.")
            self._watch(model, wanted=True)
        await self.keeper(model).load()
        await self.discover()

    async def unload(self, model: str) -> None:
        """Unloads a model, after what it has been asked. Raises NotFound, ModelUnavailable."""
        await self.keeper(model).unload()
        await self.discover()

    async def reload(self, model: str) -> None:
        """Loads a model afresh, without a pause in its service. Raises NotFound, ModelUnavailable."""
        if model in self._keepers:
            await self.keeper(model).reload()
        else:
            await self.load(model)

    async def check(self) -> None:
        """One look at everything."""
        await self.discover()
        async with asyncio.TaskGroup() as group:
            for keeper in self._keepers.values():
                group.create_task(keeper.check())

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            for model, keeper in self._keepers.items():
                self._tasks_of[model] = self._tasks.create_task(keeper.run())
            self._tasks.create_task(self._keep_index())
            if self._limits.metrics_address:
                self._tasks.create_task(self._weigh(self._limits.metrics_address))

    async def discover(self) -> None:
        """Reads Triton's index, and watches the models it has loaded since. The last index stays if there is none."""
        deadline = Deadline.after(_INDEX_TIMEOUT_S, now_s=time.monotonic())
        try:
            self.index = await self._triton.index(deadline=deadline)
        except TritoneError:
            self.reachable = False
            return
        self.reachable = True
        with suppress(TritoneError):
            for entry in self.index:
                name = entry.name
                if entry.state != READY or name in self._keepers or name in self.foreign:
                    continue
                if not await self._triton.transcribes(name, deadline=deadline):
                    self.foreign.add(name)
                elif name in self._keepers:
                    continue  # found by somebody else meanwhile
                elif self._has_room():
                    self._left_out.discard(name)
                    self._watch(name, wanted=False)
                elif name not in self._left_out:
                    self._left_out.add(name)
                    logger.warning("too many models: this one is not served", extra={"fields": {"model": name}})

    async def _keep_index(self) -> None:
        while True:
            await asyncio.sleep(_INDEX_EVERY_S)
            await self.discover()

    async def _weigh(self, metrics_address: str) -> None:
        while True:
            try:
                sizes = await resident_bytes(metrics_address)
            except (OSError, TimeoutError) as error:
                logger.debug("Triton's metrics can't be read", extra={"fields": {"detail": repr(error)}})
                sizes = {}
            for model, size in sizes.items():
                if model in self._keepers:
                    await self._keepers[model].weigh(size)
            await asyncio.sleep(_MEMORY_EVERY_S)

    def _has_room(self) -> bool:
        """Whether one more can be watched; one that is not loaded is forgotten for it."""
        if len(self._keepers) < self._limits.max_models:
            return True
        for model, keeper in self._keepers.items():
            if keeper.idle and model not in self._limits.models:
                del self._keepers[model]
                if task := self._tasks_of.pop(model, None):
                    task.cancel()
                self._telemetry.forget_model(self._triton.address, model)
                return True
        return False

    def _watch(self, model: str, *, wanted: bool) -> None:
        keeper = Keeper(model, self._triton, self._telemetry, self._limits.keeper, self._changes, wanted=wanted)
        self._keepers[model] = keeper
        if self._tasks is not None:
            self._tasks_of[model] = self._tasks.create_task(keeper.run())
