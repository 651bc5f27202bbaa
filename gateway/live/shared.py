"""What all live sessions have in common: the way to the model, the counters, the limits."""

import asyncio
import time
from dataclasses import dataclass

from gateway.core.admission import Lane
from gateway.core.audio import Transcript
from gateway.core.deadline import Deadline
from gateway.core.errors import DeadlineExceeded
from gateway.core.live.effects import Transcribe, TranscribePartial
from gateway.core.live.session_config import SessionLimits
from gateway.dispatch import Dispatch, Job
from gateway.live.budget import AudioBudget
from gateway.tasks import AFTER_DEADLINE_S
from gateway.telemetry import LiveTelemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """`vad` names the speech scorer; `grace_s` is how long a session waits for a client whose connection broke."""

    dispatch: Dispatch
    telemetry: LiveTelemetry
    budget: AudioBudget
    limits: SessionLimits
    vad: str
    final_timeout_s: float
    partial_timeout_s: float
    grace_s: float

    async def final(self, effect: Transcribe, session_id: str) -> Transcript:
        """The transcript of an utterance that has ended. Raises a TritoneError."""
        return await self._transcript(effect, f"{session_id}-final", Lane.LIVE, self.final_timeout_s)

    async def interim(self, effect: TranscribePartial, session_id: str) -> Transcript:
        """The transcript of an open utterance. Raises Overloaded where there is no room for it, and other errors."""
        return await self._transcript(effect, f"{session_id}-partial", Lane.INTERIM, self.partial_timeout_s)

    async def _transcript(
        self, effect: Transcribe | TranscribePartial, request_id: str, lane: Lane, timeout_s: float
    ) -> Transcript:
        deadline = Deadline.after(timeout_s, now_s=time.monotonic())
        job = Job(request_id, effect.model, effect.options, deadline, lane)
        try:
            async with asyncio.timeout(timeout_s + AFTER_DEADLINE_S):
                return await self.dispatch.transcribe(effect.utterance, job)
        except TimeoutError:
            raise DeadlineExceeded("The model did not answer in time.") from None
