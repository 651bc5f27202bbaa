"""Performs one posted request: its pieces go to the model as a session's would, and all finals come back at once."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.core.audio import CutReason
from gateway.core.live.context import Context
from gateway.core.live.delivery import Delivery
from gateway.core.live.effects import Effect, Final, Notify, Transcribe
from gateway.core.live.session_config import SessionConfig, SessionLimits
from gateway.core.segmenter import UtteranceCut
from gateway.core.wire.posting_messages import Heard
from gateway.dispatch import Cuts, Dispatch, Job
from gateway.tasks import tasks_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`job` has the options of no piece in particular; `first` is how the first piece is treated, `rest` the others."""

    job: Job
    first: SessionConfig
    rest: SessionConfig
    fan_out: int


async def hear(cuts: Cuts, order: Order, context: Context, dispatch: Dispatch) -> Heard:
    """What is said in `cuts`, which it closes; it teaches `context`. The first failure ends the rest.

    Raises a TritoneError. While the language is open pieces go one by one: the first decide it for the others.
    Memory holds `fan_out` of them.
    """
    try:
        dispatch.require_time(order.job)
        async with tasks_until(order.job.deadline) as group:
            posting = _Posting(order, context, dispatch, group)
            await posting.feed(cuts)
    finally:
        cuts.close()
    return Heard(posting.spans, posting.finals, cuts.duration_s)


class _Posting:
    def __init__(self, order: Order, context: Context, dispatch: Dispatch, group: asyncio.TaskGroup) -> None:
        knows_language = bool(order.first.options.language or context.language)
        limits = SessionLimits(finals_in_flight=order.fan_out, replay_finals=1)
        self.spans: list[tuple[int, int]] = []
        self.finals: list[Final] = []
        self._order = order
        self._delivery = Delivery(limits, context)
        self._dispatch = dispatch
        self._group = group
        self._one_by_one = not knows_language
        self._room = asyncio.Semaphore(1 if self._one_by_one else order.fan_out)
        self._context = context

    async def feed(self, cuts: Cuts) -> None:
        """Cuts piece after piece as there is room for them."""
        while True:
            await self._room.acquire()
            utterance = await self._dispatch.next_utterance(cuts)
            if utterance is None:
                return
            config = self._order.rest if self.spans else self._order.first
            self.spans.append((utterance.start_sample, utterance.start_sample + len(utterance.samples)))
            cut = UtteranceCut(utterance, CutReason.CLOSE)
            self._perform(self._delivery.add(cut, config, now_s=time.monotonic()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Transcribe):
                self._group.create_task(self._send(effect))
            elif isinstance(effect, Notify) and isinstance(effect.message, Final):
                self.finals.append(effect.message)
                self._room.release()
                if self._one_by_one and self._context.language:
                    self._one_by_one = False
                    for _ in range(self._order.fan_out - 1):
                        self._room.release()

    async def _send(self, effect: Transcribe) -> None:
        job = replace(self._order.job, options=effect.options)
        transcript = await self._dispatch.transcribe(effect.utterance, job)
        index = effect.utterance.index
        self._perform(self._delivery.take_transcript(index, transcript, now_s=time.monotonic()))
