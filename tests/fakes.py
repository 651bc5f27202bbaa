"""Stand-ins for what can't be had for real: a model that fails, stalls or answers on demand."""

import asyncio
import dataclasses
from typing import Any

from gateway.core.admission import Lane, Permit
from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions, Filtered, Samples, Segment, Transcript
from gateway.core.deadline import Deadline
from gateway.core.errors import ModelUnavailable, TritoneError
from gateway.core.recovery import Sign
from gateway.triton.control import IndexEntry
from gateway.triton.fleet import FleetLimits
from gateway.triton.keeper import KeeperLimits
from gateway.triton.warden import WardenLimits


def transcript(text: str, *, start_s: float = 0.0, end_s: float = 0.5, language: str = "en") -> Transcript:
    """A transcript of one segment."""
    segment = Segment(text, start_s, end_s, (1, 2), 0.0, -0.25, 1.1, 0.01)
    return Transcript(text, language, 0.9, (segment,))


class FakeTranscriber:
    """As app.Backend, with a model or several; a load makes a dead one alive.

    `gate` holds answers back until it is set; errors are raised once set. `heard` are the languages it detects, by the
    number of the request, where that is not English.
    """

    def __init__(self, model: str = "base", *, address: str = "127.0.0.1:8001") -> None:
        self.address = address
        self.models: tuple[str, ...] = (model,)
        self.error: TritoneError | Exception | None = None
        self.canary_error: TritoneError | None = None
        self.load_error: TritoneError | None = None
        self.sign = Sign.ALIVE
        self.unloaded: tuple[str, ...] = ()
        self.foreign: tuple[str, ...] = ()
        self.orders: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Condition()
        self.in_flight = 0
        self.most_in_flight = 0
        self.cancelled = 0
        self.canaries = 0
        self.requests: list[tuple[str, str, DecodeOptions, int]] = []
        self.lanes: list[Lane] = []
        self.closed = False
        self.text = ""
        self.heard: dict[int, str] = {}
        self.left_out: Filtered | None = None

    async def transcribe(
        self,
        samples: Samples,
        options: DecodeOptions,
        *,
        model: str,
        request_id: str,
        deadline: Deadline,
        permit: Permit,
    ) -> Transcript:
        assert permit.held
        self.requests.append((request_id, model, options, len(samples)))
        self.lanes.append(permit.lane)
        number = len(self.requests) - 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        async with self.arrived:
            self.arrived.notify_all()
        try:
            await self.gate.wait()
            if self.error:
                raise self.error
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        language = options.language or self.heard.get(number, "en")
        answer = transcript(self.text or f" piece {number}", end_s=len(samples) / SAMPLE_RATE_HZ, language=language)
        return dataclasses.replace(answer, filtered=(self.left_out,)) if self.left_out else answer

    async def requests_are(self, count: int) -> None:
        """Waits until `count` requests have come in."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    async def canary(self, model: str, *, deadline: Deadline) -> None:
        self.canaries += 1
        if self.canary_error:
            raise self.canary_error

    async def pulse(self, model: str, *, deadline: Deadline) -> Sign:
        return self.sign if model in self.models else Sign.ABSENT

    async def index(self, *, deadline: Deadline) -> tuple[IndexEntry, ...]:
        if self.sign is Sign.UNREACHABLE:
            raise ModelUnavailable("gone")
        states = {**dict.fromkeys(self.unloaded, "UNAVAILABLE"), **dict.fromkeys(self.models, "READY")}
        return tuple(IndexEntry(name, "1", states[name]) for name in sorted(states))

    async def transcribes(self, model: str, *, deadline: Deadline) -> bool:
        return model not in self.foreign

    async def load(self, model: str, *, deadline: Deadline) -> None:
        self.orders.append(("load", model))
        if self.load_error:
            raise self.load_error
        if model not in self.models:
            self.models = (*self.models, model)
            self.sign = Sign.ALIVE

    async def replace(self, model: str, *, deadline: Deadline) -> None:
        self.orders.append(("replace", model))
        if self.load_error:
            raise self.load_error

    async def unload(self, model: str, *, deadline: Deadline) -> None:
        self.orders.append(("unload", model))
        self.models = tuple(name for name in self.models if name != model)
        self.unloaded = (*self.unloaded, model)

    async def close(self) -> None:
        self.closed = True


def warden_limits(**changes: Any) -> WardenLimits:
    """A warden that heals `base`, and sends canaries only where something is wrong; any limit can be another."""
    keeper = KeeperLimits(
        heals=True,
        pulse_interval_s=0.01,
        canary_interval_s=60.0,
        canary_timeout_s=1.0,
        load_timeout_s=1.0,
        resident_limit_bytes=1000,
        recycle_interval_s=0.0,
    )
    fields = {field.name for field in dataclasses.fields(KeeperLimits)}
    keeper = dataclasses.replace(keeper, **{name: value for name, value in changes.items() if name in fields})
    limits = WardenLimits(models=("base",), max_models=4, metrics_address=None, keeper=keeper)
    return dataclasses.replace(limits, **{name: value for name, value in changes.items() if name not in fields})


def fleet_limits(*, triton: str = "127.0.0.1:8001", wait_s: float = 30.0, **changes: Any) -> FleetLimits:
    """Tritons by name, with such a warden each."""
    return FleetLimits(triton, "", 4, 0.01, wait_s, warden_limits(**changes))
