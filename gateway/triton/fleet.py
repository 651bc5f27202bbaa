"""All Tritons as one: who gets the next utterance, which models may be asked, and what operators want of them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from gateway.core.balance import Balance, Load
from gateway.core.deadline import Deadline
from gateway.core.errors import ModelFailed, ModelUnavailable, NotFound, Overloaded, TritoneError
from gateway.ports import Transcriber
from gateway.telemetry import Telemetry
from gateway.triton.addresses import Directory, Place
from gateway.triton.control import READY, Backend, IndexEntry
from gateway.triton.health import Changes, ModelHealth
from gateway.triton.keeper import Keeper
from gateway.triton.warden import Warden, WardenLimits

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetLimits:
    """Where the Tritons are (see addresses.Directory), how many at most, and how often their names are looked up.

    `wait_s` is how long an utterance waits for a model to come back.
    """

    triton: str
    triton_metrics: str
    max_endpoints: int
    resolve_interval_s: float
    wait_s: float
    warden: WardenLimits


@dataclass(slots=True, eq=False)
class Endpoint:
    """One Triton, with its watcher and what it has to do. It is `idle` when it has nothing."""

    backend: Backend
    warden: Warden
    load: Load = field(default_factory=Load)
    orders: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    watching: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where it is, HOST:PORT."""
        return self.backend.address

    def settle(self) -> None:
        """Tells whether it has nothing now: no utterance, and no operator's order."""
        if self.load.in_flight or self.orders:
            self.idle.clear()
        else:
            self.idle.set()


class Fleet:
    """The Tritons that are known now. An utterance goes to the least busy of those whose model may be asked."""

    def __init__(self, connect: Callable[[str], Backend], telemetry: Telemetry, limits: FleetLimits) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self._connect = connect
        self._telemetry = telemetry
        self._limits = limits
        self._directory = Directory(limits.triton, limits.triton_metrics)
        self._changes = Changes()
        self._balance = Balance()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def problem(self) -> str | None:
        """Why a request to the default model would not be served now, or None."""
        problems = self.problems
        if not all(problems.values()):
            return None
        return "; ".join(f"{address}: {text}" if len(problems) > 1 else str(text) for address, text in problems.items())

    @property
    def problems(self) -> dict[str, str | None]:
        """The same of each Triton, by its address."""
        return {endpoint.address: endpoint.warden.problem for endpoint in self.endpoints}

    @property
    def reachable(self) -> bool:
        """Whether any Triton answered the last time it was asked for its models."""
        return any(endpoint.warden.reachable for endpoint in self.endpoints)

    def problem_of(self, model: str) -> str | None:
        """Why a request to this model would not be served now, or None. Raises NotFound."""
        problems = [health.problem for health in self._healths(model)]
        return problems[0] if all(problems) else None

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that are watched anywhere, the default first."""
        return tuple(dict.fromkeys(model for endpoint in self.endpoints for model in endpoint.warden.models))

    @property
    def index(self) -> tuple[IndexEntry, ...]:
        """Every model that speaks our wire in any repository, by name; of several states the best."""
        entries = [entry for endpoint in self.endpoints for entry in endpoint.warden.index]
        foreign = {name for endpoint in self.endpoints for name in endpoint.warden.foreign}.difference(self.models)
        best = {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.state == READY)}
        return tuple(best[name] for name in sorted(best) if name not in foreign)

    def keepers(self, model: str) -> dict[str, Keeper]:
        """Who looks after a model, by address. Raises NotFound."""
        keepers = {one.address: one.warden.keeper(model) for one in self.endpoints if model in one.warden.models}
        if not keepers:
            raise NotFound(
                f"There is no such model. Watched: {', '.join(self.models)}.", code="model_not_found", param="model"
            )
        return keepers

    def unloaded(self, model: str) -> bool:
        """Whether operators want it loaded nowhere. Raises NotFound."""
        return all(health.unloaded for health in self._healths(model))

    def require(self, model: str, *, arrived_at_s: float) -> None:
        """Raises ModelUnavailable where a request is refused that came in then, and NotFound."""
        if not any(health.lets_in(arrived_at_s) for health in self._healths(model)):
            raise self._unavailable(model)

    def require_any(self) -> None:
        """Raises ModelUnavailable when no model at all can be asked: there is no need to read a request."""
        if all(self.refusal_of(model) for model in self.models):
            raise self._unavailable(self._limits.warden.models[0])

    def refusal_of(self, model: str) -> str | None:
        """As dispatch.Models."""
        refusals = [health.refusal for health in self._healths(model)]
        return refusals[0] if all(refusals) else None

    async def available(self, model: str, deadline: Deadline) -> None:
        """As dispatch.Models."""
        try:
            async with asyncio.timeout(min(self._limits.wait_s, deadline.remaining_s(time.monotonic()))):
                while self.refusal_of(model) and not self.unloaded(model):
                    await self._changes.wait()
        except TimeoutError:
            raise self._unavailable(model) from None
        if self.refusal_of(model):
            raise self._unavailable(model)

    @asynccontextmanager
    async def asking(self, model: str) -> AsyncIterator[Transcriber]:
        """As dispatch.Models."""
        able = [one for one in self.endpoints if model in one.warden.models and not one.warden.health(model).refusal]
        if not able:
            raise self._unavailable(model)
        endpoint = self._balance.take(able, now_s=time.monotonic())
        endpoint.settle()
        in_flight = self._telemetry.endpoint_in_flight.labels(endpoint.address)
        in_flight.inc()
        health = endpoint.warden.health(model)
        served: bool | None = None
        try:
            async with health.attending():
                try:
                    yield endpoint.backend
                except TritoneError as error:
                    # Not what is given up: whoever does that has judged the model already.
                    health.failed(error)
                    served = False if isinstance(error, ModelFailed | Overloaded) else None
                    raise
            health.answered()
            served = True
        finally:
            in_flight.dec()
            self._balance.give_back(endpoint, served=served, now_s=time.monotonic())
            endpoint.settle()

    async def load(self, model: str) -> None:
        """Loads a model of the repository, everywhere. Raises NotFound, ModelUnavailable, Overloaded at the bound."""
        await self._everywhere(lambda warden: warden.load(model))

    async def unload(self, model: str) -> None:
        """Unloads a model, after what it has been asked. Raises NotFound, ModelUnavailable."""
        await self._everywhere(lambda warden: warden.unload(model))

    async def reload(self, model: str) -> None:
        """Loads a model afresh, without a pause in its service. Raises NotFound, ModelUnavailable."""
        await self._everywhere(lambda warden: warden.reload(model))

    async def find(self) -> None:
        """Looks up where the Tritons are. Those that are new are watched.

        Those that are gone are asked no more, except while none of the others can be asked yet.
        """
        found = await self._directory.places()
        if len(found) > self._limits.max_endpoints:
            fields = {"found": len(found), "asked": self._limits.max_endpoints}
            logger.warning("too many Tritons: raise --max-endpoints to use the others", extra={"fields": fields})
            found = found[: self._limits.max_endpoints]
        before = {endpoint.address: endpoint for endpoint in self.endpoints}
        staying = tuple(
            before.pop(place.address) if place.address in before else self._added(place, len(found)) for place in found
        )
        leaving = tuple(before.values())
        # Those that are new are asked nothing before their first canary came back.
        needed = [one for one in leaving if one.warden.problem is None][: self._limits.max_endpoints]
        if any(one.warden.problem is None for one in staying):
            needed = []
        self.endpoints = (*staying, *needed)
        for gone in leaving:
            if gone not in needed:
                self._retire(gone)
        self._telemetry.endpoints.set(len(self.endpoints))

    async def check(self) -> None:
        """One look at all that were found."""
        async with asyncio.TaskGroup() as group:
            for endpoint in self.endpoints:
                group.create_task(endpoint.warden.check())

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            for endpoint in self.endpoints:
                endpoint.watching = self._tasks.create_task(endpoint.warden.run())
            while True:
                await asyncio.sleep(self._limits.resolve_interval_s)
                await self.find()

    async def close(self) -> None:
        """Ends the connections."""
        for endpoint in self.endpoints:
            await endpoint.backend.close()

    def _added(self, place: Place, count: int) -> Endpoint:
        logger.info("a Triton is watched", extra={"fields": {"endpoint": place.address}})
        keeper = replace(self._limits.warden.keeper, alone=count == 1)
        limits = replace(self._limits.warden, metrics_address=place.metrics_address, keeper=keeper)
        backend = self._connect(place.address)
        endpoint = Endpoint(backend, Warden(backend, self._telemetry, limits, self._changes))
        endpoint.idle.set()
        if self._tasks is not None:
            endpoint.watching = self._tasks.create_task(endpoint.warden.run())
        return endpoint

    def _retire(self, endpoint: Endpoint) -> None:
        logger.info("a Triton is gone from its name", extra={"fields": {"endpoint": endpoint.address}})
        assert self._tasks is not None, "names are looked up again by run alone"
        self._tasks.create_task(self._ended(endpoint))

    async def _ended(self, endpoint: Endpoint) -> None:
        """Lets what it was asked be answered, under its warden's eyes, before its connection goes."""
        await endpoint.idle.wait()
        if endpoint.watching is not None:
            endpoint.watching.cancel()
            # It takes a few turns of the loop to end, and may not find the connection closed.
            await asyncio.wait([endpoint.watching])
        await endpoint.backend.close()
        if endpoint.address not in self.problems:
            self._telemetry.forget(endpoint.address)

    async def _everywhere(self, give: Callable[[Warden], Awaitable[None]]) -> None:
        """Gives an order to all. One that fails does not keep the others from it; its error is raised afterwards."""

        async def outcome(endpoint: Endpoint) -> TritoneError | None:
            endpoint.orders += 1
            endpoint.settle()
            try:
                await give(endpoint.warden)
            except TritoneError as error:
                return error
            finally:
                endpoint.orders -= 1
                endpoint.settle()
            return None

        async with asyncio.TaskGroup() as group:
            orders = [group.create_task(outcome(endpoint)) for endpoint in self.endpoints]
        errors = [error for order in orders if (error := order.result())]
        # Tritons need not have the same models: one that knows of none is no failure where another does.
        failures = [error for error in errors if not isinstance(error, NotFound)]
        if failures or len(errors) == len(orders):
            raise (failures or errors)[0]

    def _healths(self, model: str) -> Iterable[ModelHealth]:
        return [keeper.health for keeper in self.keepers(model).values()]

    def _unavailable(self, model: str) -> ModelUnavailable:
        """The refusal, with the time after which the first of them may be back."""
        return min(self._healths(model), key=lambda health: health.retry_after_s).unavailable()
