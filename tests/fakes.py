"""Stand-ins for what can't be had for real: a model that fails, stalls or answers on demand."""

import asyncio

from gateway.core.admission import Permit
from gateway.core.audio import DecodeOptions, Samples, Segment, Transcript
from gateway.core.deadline import Deadline
from gateway.core.errors import TritoneError


def transcript(text: str, *, start_s: float = 0.0, end_s: float = 0.5, language: str = "en") -> Transcript:
    """A transcript of one segment."""
    segment = Segment(text, start_s, end_s, (1, 2), 0.0, -0.25, 1.1, 0.01)
    return Transcript(text, language, 0.9, (segment,))


class FakeTranscriber:
    """As app.Backend. `gate` holds answers back until it is set; errors are raised once set."""

    def __init__(self, model: str = "base") -> None:
        self.models: tuple[str, ...] = (model,)
        self.error: TritoneError | Exception | None = None
        self.canary_error: TritoneError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Condition()
        self.in_flight = 0
        self.most_in_flight = 0
        self.cancelled = 0
        self.canaries = 0
        self.requests: list[tuple[str, str, DecodeOptions, int]] = []
        self.closed = False
        self.text = ""

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
        return transcript(self.text or f" piece {number}")

    async def requests_are(self, count: int) -> None:
        """Waits until `count` requests have come in."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    async def canary(self, model: str, *, deadline: Deadline) -> None:
        self.canaries += 1
        if self.canary_error:
            raise self.canary_error

    async def ready_models(self, *, deadline: Deadline) -> tuple[str, ...]:
        if self.canary_error:
            raise self.canary_error
        return self.models

    async def close(self) -> None:
        self.closed = True
