"""One live session with its clock and tasks: performs what the core decides, whether or not its client is there."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress

import numpy as np

from gateway.audio.vad import scorer_for
from gateway.core.audio import FRAME_SAMPLES, Samples
from gateway.core.errors import Overloaded, ShuttingDown, TritoneError
from gateway.core.live.effects import (
    CancelPartial,
    Close,
    Closed,
    Effect,
    Errored,
    Message,
    Notify,
    Transcribe,
    TranscribePartial,
)
from gateway.core.live.intake import ms_of_samples
from gateway.core.live.session import Session
from gateway.core.live.session_config import SessionConfig
from gateway.core.live.states import State
from gateway.core.wire.stream_messages import StreamOptions
from gateway.live.outbox import Outbox
from gateway.live.presence import Identity
from gateway.live.shared import Shared

TICK_S = 0.5
SAMPLE_BYTES = 2
BUG = "bug"


class LiveSession:
    """Lives until `end`, over one connection or several. While it is detached only its outcomes are kept.

    `heard_at_s` is when its client last sent something. `stream_options` is what a client of /v1/stream chose last, for
    its next connection.
    """

    def __init__(self, identity: Identity, config: SessionConfig, shared: Shared) -> None:
        """Raises BadRequest where `config` exceeds the limits."""
        self.identity = identity
        self.heard_at_s = identity.opened_at_s
        self.end_reason: str | None = None
        self.stream_options: StreamOptions | None = None
        self._shared = shared
        self._session = Session(config, shared.limits, now_s=identity.opened_at_s)
        self._scorer = scorer_for(shared.vad)
        self._outbox: Outbox | None = None
        self._detached_at_s: float | None = identity.opened_at_s
        self._ends_by_s = float("inf")
        self._close: Close | None = None
        self._held_bytes = 0
        self._ended = asyncio.Event()
        self._wants_audio = asyncio.Event()
        self._quiet = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._partial: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._settle()

    async def run(self) -> None:
        """Keeps the session's time and owns its tasks. Whoever starts it calls `end` in every case."""
        async with asyncio.TaskGroup() as self._group:
            while not self._ended.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._ended.wait()
                self._tick(time.monotonic())

    @property
    def config(self) -> SessionConfig:
        """What the next utterance will be treated by."""
        return self._session.config

    @property
    def account(self) -> Closed:
        """How much came in and went out so far."""
        return self._session.account

    @property
    def buffered_ms(self) -> int:
        """Length of the audio that is held."""
        return ms_of_samples(self._session.buffered_samples)

    @property
    def attached(self) -> bool:
        """Whether a connection has it."""
        return self._outbox is not None

    @property
    def listens(self) -> bool:
        """Whether audio and commands are still taken."""
        return self._session.state is State.LISTENING

    @property
    def finished(self) -> bool:
        """Whether everything was told."""
        return self._close is not None

    def missed(self, last_utterance: int | None) -> list[Message]:
        """What was told after `last_utterance`, for a client that came back. Raises BadRequest."""
        return [effect.message for effect in self._session.missed(last_utterance) if isinstance(effect, Notify)]

    def attach(self, outbox: Outbox, missed: Iterable[Message] = ()) -> None:
        """From now on `outbox` is told, `missed` first; a connection that had the session before is closed."""
        if self._outbox is not None:
            self._outbox.close(ShuttingDown("The session went on over another connection.", code="session_resumed"))
        self._outbox, self._detached_at_s = outbox, None
        for message in missed:
            outbox.tell(message)
        if self._close is not None:
            if self._close.error is not None:
                outbox.tell(Errored(self._close.error))
            outbox.tell(self.account)
            outbox.close(self._close.error)

    def detach(self, outbox: Outbox) -> None:
        """The connection of `outbox` is gone; its client may come back within the grace time."""
        if self._outbox is outbox:
            self._outbox, self._detached_at_s = None, time.monotonic()

    def belongs_to(self, outbox: Outbox) -> bool:
        """Whether it is `outbox` that is told."""
        return self._outbox is outbox

    async def hear(self, samples: Samples, *, by: Outbox) -> None:
        """Takes in `samples` at SAMPLE_RATE_HZ, shape (n,), of the connection of `by`, as room is made for them.

        The rest is left out where it listens no more, or another connection has it. Raises Overloaded.
        """
        while len(samples) and await self._room(by):
            taken, samples = np.split(samples, [self._session.room_samples])
            frames = self._session.receive_audio(taken, now_s=self._now_s())
            self.identity.attendance.heard(self.heard_at_s)
            self._perform(self._session.receive_scores(self._scorer.score(frames)))

    def finalize(self) -> None:
        """Cuts now. Raises BadRequest out of order, as do the other commands."""
        self._perform(self._session.finalize(now_s=self._now_s()))

    def configure(self, config: SessionConfig) -> None:
        """Takes a new config for the utterances to come."""
        self._session.configure(config, now_s=self._now_s())
        self._settle()

    def reset(self) -> None:
        """Forgets the context."""
        self._session.reset(now_s=self._now_s())

    def clear(self) -> None:
        """Throws the open utterance away."""
        self._perform(self._session.clear(now_s=self._now_s()))

    def keepalive(self) -> None:
        """The client is still there."""
        self._session.keepalive(now_s=self._now_s())

    def finish(self, error: TritoneError | None = None, *, within_s: float = float("inf")) -> None:
        """No more audio: everything is answered, then the outbox closes. What takes longer is given up."""
        if self.listens:
            self._perform(self._session.finish(now_s=self._now_s(), error=error))
        self._ends_by_s = min(self._ends_by_s, time.monotonic() + within_s)

    async def quiet(self) -> None:
        """Returns when nothing is open and nothing waits for an answer: there is nothing left to tell."""
        await self._quiet.wait()

    def end(self, reason: str, error: TritoneError | None = None) -> None:
        """Lets go of everything, at once. The first reason counts.

        A client that is still there is told `error`, and what failed by it. Of a session with a bug nothing is asked.
        """
        if self.end_reason is not None:
            return
        self.end_reason = reason
        if self._outbox is not None:
            if error is not None and not self.finished:
                bug = [Notify(Errored(error))]
                for effect in bug if reason == BUG else self._session.break_off(error, now_s=time.monotonic()):
                    if isinstance(effect, Notify):
                        self._tell(effect.message)
            self._outbox.close(error)
        self._outbox = None
        self._session.abort()
        self._settle()
        self._ended.set()
        self._cancel(*self._running)
        self.identity.attendance.end()
        self.identity.seat.release()
        self._shared.telemetry.ended.labels(reason).inc()

    def _now_s(self) -> float:
        self.heard_at_s = time.monotonic()
        return self.heard_at_s

    def _tick(self, now_s: float) -> None:
        if self._detached_at_s is not None and self.listens:
            # Its client has the grace time.
            self._session.keepalive(now_s=now_s)
        self._perform(self._session.tick(now_s))
        self.identity.attendance.look(now_s, owes=not self._quiet.is_set())
        if self._detached_at_s is not None and now_s - self._detached_at_s >= self._shared.grace_s:
            self.end("expired" if self._close is None else "closed")
        elif now_s >= self._ends_by_s:
            self.end("given_up", ShuttingDown("The session could not be finished in time."))

    async def _room(self, by: Outbox) -> bool:
        """Waits until audio can be taken in; False when none will be any more. Raises Overloaded."""
        await self._shared.budget.room()
        while self.listens and not self._session.wants_audio:
            await self._wants_audio.wait()
        return self.listens and self._outbox is by

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Notify(message):
                    self._tell(message)
                case Transcribe():
                    self._start(self._final(effect))
                case TranscribePartial():
                    self._partial = self._start(self._interim(effect))
                case CancelPartial():
                    self._cancel(self._partial)
                case Close():
                    self._finished(effect)
        self._settle()

    def _settle(self) -> None:
        """Passes on what has changed: room for audio, bytes held, whether anything is left to do."""
        session = self._session
        held_bytes = session.buffered_samples * SAMPLE_BYTES
        self._shared.budget.hold(held_bytes - self._held_bytes)
        self._held_bytes = held_bytes
        _show(self._wants_audio, session.wants_audio or not self.listens)
        _show(self._quiet, session.buffered_samples < FRAME_SAMPLES)

    def _tell(self, message: Message) -> None:
        self._shared.telemetry.told(message)
        if self._outbox is not None:
            self._outbox.tell(message)

    def _finished(self, close: Close) -> None:
        self._close = close
        self._cancel(*self._running)
        if self._outbox is not None:
            self._outbox.close(close.error)

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        assert self._group is not None, "audio comes after run has begun"
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _cancel(self, *tasks: asyncio.Task[None] | None) -> None:
        for task in tasks:
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _final(self, effect: Transcribe) -> None:
        index = effect.utterance.index
        try:
            transcript = await self._shared.final(effect, self.identity.id)
        except TritoneError as error:
            self._perform(self._session.receive_failure(index, error, now_s=time.monotonic()))
        else:
            self._perform(self._session.receive_transcript(index, transcript, now_s=time.monotonic()))

    async def _interim(self, effect: TranscribePartial) -> None:
        index = effect.utterance.index
        outcome = "late"
        try:
            transcript = await self._shared.interim(effect, self.identity.id)
            effects = self._session.receive_partial(index, transcript)
            self._perform(effects)
            outcome = "told" if effects else "unsure"
        except TritoneError as error:
            outcome = "skipped" if isinstance(error, Overloaded) else error.reason
            self._session.skip_partial(index)
        finally:
            self._shared.telemetry.partials.labels(outcome).inc()


def _show(event: asyncio.Event, is_so: bool) -> None:
    if is_so:
        event.set()
    else:
        event.clear()
