"""Performs what the core decided: utterances of a file go to the model, their transcripts come back in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

from gateway.core.admission import Admission, Lane, Permit
from gateway.core.audio import DecodeOptions, Quiet, Transcript, Utterance
from gateway.core.deadline import Deadline
from gateway.core.errors import ModelUnavailable, TritoneError
from gateway.core.filters import Filter, without_filtered
from gateway.core.live.context import Context
from gateway.core.live.session_config import SessionConfig
from gateway.core.retry import RetryBudget
from gateway.core.stitching import FileTranscript, Part, stitch
from gateway.ports import Transcriber
from gateway.tasks import tasks_until
from gateway.telemetry import Telemetry
from gateway.turnstile import Turnstile

T = TypeVar("T")
Answers: TypeAlias = "asyncio.Queue[asyncio.Task[Part] | None]"
Listener: TypeAlias = Callable[[Part], Awaitable[None]]


class Cuts(Protocol):
    """The utterances of a file, decoded as they are asked for: blocking calls, one at a time."""

    duration_s: float

    def next_utterance(self) -> Utterance | Quiet | None:
        """The next one, None at the end, Quiet now and then. Raises BadAudio, UnsupportedAudio, AudioTooLong."""
        ...

    def stop(self) -> None:
        """Makes a `next_utterance` that runs in another thread end soon, with any error."""
        ...

    def close(self) -> None:
        """Lets go of the decoder."""
        ...


class Models(Protocol):
    """Knows which models may be asked, and is told how requests went."""

    def refusal_of(self, model: str) -> str | None:
        """Why the model may not be asked now, or None."""
        ...

    async def available(self, model: str, deadline: Deadline) -> None:
        """Waits for a model that is away. Raises ModelUnavailable when it does not come back in time."""
        ...

    def asking(self, model: str) -> AbstractAsyncContextManager[Transcriber]:
        """Surrounds the wait for an answer, and takes in how it went; gives who should be asked.

        Raises ModelUnavailable where nobody may be, and in the wait when the model's process is lost.
        """
        ...


async def nobody(_: Part) -> None:
    """Waits for no part."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one request wants of the model, and until when (on time.monotonic). The last two are for files.

    `in_turn`: each utterance is prompted with the text of the one before, so they go one by one.
    """

    request_id: str
    model: str
    options: DecodeOptions
    deadline: Deadline
    lane: Lane = Lane.FILE
    filters: frozenset[Filter] = frozenset()
    in_turn: bool = False


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """Utterances of one file at once, the time for each, and how many may be due for a second try.

    What begins `long_after_s` after the beginning of its file goes in the lane of long files.
    """

    file_fan_out: int
    long_after_s: float
    utterance_timeout_s: float
    retry_reserve: int


class Dispatch:
    """Sends utterances to the model, each with a permit and a deadline."""

    def __init__(
        self,
        admission: Admission,
        models: Models,
        telemetry: Telemetry,
        *,
        decoders: Executor,
        limits: DispatchLimits,
    ) -> None:
        self._admission = admission
        self._turnstile = Turnstile(admission)
        self._models = models
        self._retries = RetryBudget(reserve=limits.retry_reserve, now_s=time.monotonic())
        self._telemetry = telemetry
        self._decoders = decoders
        self._limits = limits

    async def transcribe_file(self, cuts: Cuts, job: Job, tell: Listener = nobody) -> FileTranscript:
        """The transcript of a whole file; closes `cuts`. The first failure ends the rest. Raises a TritoneError.

        `tell` gets each part in order, as soon as it and those before it are answered. The first utterances are sent
        two by two until their language is sure; the others are then told it. Memory holds `file_fan_out` utterances
        and one more, the next being decoded when one of them was answered, and as many parts that wait for `tell`.
        """
        parts: list[Part] = []
        answers: Answers = asyncio.Queue(self._limits.file_fan_out)
        try:
            self.require_time(job)
            async with tasks_until(job.deadline) as group:
                group.create_task(self._feed(cuts, job, group, answers))
                while (answer := await answers.get()) is not None:
                    parts.append(await answer)
                    await tell(parts[-1])
        finally:
            cuts.close()
        self._telemetry.audio_seconds.inc(cuts.duration_s)
        options = job.options
        return stitch(parts, duration_s=cuts.duration_s, task=options.task, language=options.language)

    async def transcribe(self, utterance: Utterance, job: Job) -> Transcript:
        """The transcript of one utterance, after waiting for a permit. Raises a TritoneError.

        It waits for a model that is being healed. One whose model died under it is sent once more. A file is refused at
        its first utterance when that would probably be late: what comes after it was accepted.
        """
        if utterance.index == 0:
            self.require_time(job)
        queued_at_s, is_second = time.monotonic(), False
        while True:
            if self._models.refusal_of(job.model):
                with self._admission.wait(utterance.duration_s, job.lane):
                    await self._models.available(job.model, job.deadline)
            async with self._turnstile.permit(utterance.duration_s, job.lane) as permit:
                # The model may have gone while this waited in line.
                if self._models.refusal_of(job.model):
                    continue
                self._telemetry.stage_seconds.labels("queue").observe(time.monotonic() - queued_at_s)
                try:
                    return await self._send(utterance, job, permit)
                except ModelUnavailable as error:
                    if is_second or not self._again(error, job):
                        raise
            queued_at_s, is_second = time.monotonic(), True

    def require_time(self, job: Job) -> None:
        """Refuses a file that would probably be late, best before it is decoded. Raises Overloaded."""
        if job.lane is Lane.FILE:
            self._admission.require_time(job.deadline.remaining_s(time.monotonic()), job.lane)

    def _again(self, error: ModelUnavailable, job: Job) -> bool:
        again = self._retries.allows(error, job.deadline, now_s=time.monotonic())
        self._telemetry.retries.labels("again" if again else "refused").inc()
        return again

    async def _send(self, utterance: Utterance, job: Job, permit: Permit) -> Transcript:
        sent_at_s = time.monotonic()
        limit = Deadline.after(self._limits.utterance_timeout_s, now_s=sent_at_s)
        try:
            async with self._models.asking(job.model) as transcriber:
                transcript = await transcriber.transcribe(
                    utterance.samples,
                    job.options,
                    model=job.model,
                    request_id=f"{job.request_id}-{utterance.index}",
                    deadline=job.deadline.earlier(limit),
                    permit=permit,
                )
        except TritoneError as error:
            self._telemetry.utterances.labels(error.reason).inc()
            raise
        elapsed_s = time.monotonic() - sent_at_s
        self._telemetry.stage_seconds.labels("model").observe(elapsed_s)
        self._telemetry.utterances.labels("ok").inc()
        self._admission.served(elapsed_s)
        self._retries.answered()
        return transcript

    async def next_utterance(self, cuts: Cuts) -> Utterance | None:
        """The next one, None at the end; in long silence files take turns. Raises as `cuts`."""
        while True:
            found = await self.in_thread(cuts.next_utterance, stop=cuts.stop)
            if not isinstance(found, Quiet):
                return found

    async def in_thread(self, step: Callable[[], T], *, stop: Callable[[], None]) -> T:
        """What the blocking `step` returns; when nobody waits any more, `stop` has to make it end soon."""
        future: Future[T] = self._decoders.submit(step)
        result = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            if not future.cancel():
                stop()
                await _ended(result)
            raise

    async def _feed(self, cuts: Cuts, job: Job, group: asyncio.TaskGroup, answers: Answers) -> None:
        room = asyncio.Semaphore(self._limits.file_fan_out)
        context = _Context(job)
        decode_s = 0.0
        before: asyncio.Task[Part] | None = None
        last: asyncio.Task[Part] | None = None
        while True:
            started_at_s = time.monotonic()
            utterance = await self.next_utterance(cuts)
            decode_s += time.monotonic() - started_at_s
            if utterance is None:
                self._telemetry.stage_seconds.labels("decode").observe(decode_s)
                await answers.put(None)
                return
            needed = last if job.in_turn else before if context.options.language is None else None
            if needed:
                await needed
            await room.acquire()
            lane = Lane.LONG if utterance.start_s >= self._limits.long_after_s else job.lane
            before, last = last, group.create_task(self._part(utterance, replace(job, lane=lane), room, context, last))
            await answers.put(last)

    async def _part(
        self,
        utterance: Utterance,
        job: Job,
        room: asyncio.Semaphore,
        context: "_Context",
        before: asyncio.Task[Part] | None,
    ) -> Part:
        options = context.options
        try:
            transcript = await self.transcribe(utterance, replace(job, options=options))
            if options.language is None and before:
                await before
                # It went along with the one that made the language sure.
                if transcript.text and context.options.language not in (None, transcript.language):
                    transcript = await self.transcribe(utterance, replace(job, options=context.options))
        finally:
            room.release()
        honest = without_filtered(transcript, job.filters, options.prompt)
        context.learn(utterance, honest)
        return Part(utterance.start_s, utterance.duration_s, honest)


class _Context:
    """What the utterances of one file know of those before."""

    def __init__(self, job: Job) -> None:
        self._config = SessionConfig(model=job.model, options=job.options, text_context=job.in_turn)
        self._memory = Context()

    @property
    def options(self) -> DecodeOptions:
        """For the next utterance."""
        return self._memory.options(self._config)

    def learn(self, utterance: Utterance, transcript: Transcript) -> None:
        self._memory.learn(self._config, utterance.samples, transcript, transcript.text)


async def _ended(future: asyncio.Future[T]) -> None:
    """Waits for a step that was told to stop, whatever comes: the file may not be closed under a running thread."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()  # marks it as seen: nobody waits for a step that was stopped
