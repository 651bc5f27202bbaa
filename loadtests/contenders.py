"""Who is measured: faster-whisper in a process of its own, Tritone over HTTP, its Triton over gRPC."""

import asyncio
import dataclasses
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import aiohttp

from gateway.audio.decode import decode
from gateway.core.admission import Permit
from gateway.core.audio import DecodeOptions, Samples, Utterance
from gateway.core.deadline import Deadline
from gateway.core.errors import TritoneError
from gateway.embedded.linux import dies_with_this_process
from gateway.file_cuts import FileCuts
from gateway.settings import Settings
from gateway.triton.client import TritonTranscriber
from loadtests.corpus import Clip
from loadtests.errors import BenchError
from loadtests.inprocess import Plan
from loadtests.processes import ProcessTree
from loadtests.rows import Answer

Ask: TypeAlias = Callable[[Clip], Awaitable[str]]
Cut: TypeAlias = Callable[[Clip], Sequence[Samples]]
Run: TypeAlias = Callable[[Sequence[Clip]], Awaitable[list[Answer]]]

REQUEST_TIMEOUT_S: Final = 1800.0
_UTTERANCE_TIMEOUT_S: Final = 120.0
_LOAD_TIMEOUT_S: Final = 180.0
_LONGEST_LINE_BYTES: Final = 64 * 1024 * 1024
_STREAM_FROM_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Contender:
    """One row: what it transcribes, how, and the processes that do the work (None: not on this machine)."""

    key: str
    label: str
    clips: tuple[Clip, ...]
    warm_up: tuple[Clip, ...]
    run: Run
    tree: ProcessTree | None


def callers(ask: Ask, concurrency: int) -> Run:
    """`concurrency` callers, each with one request at a time, share the clips in their order."""

    async def run(clips: Sequence[Clip]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        waiting = iter(enumerate(clips))

        async def call() -> None:
            for index, clip in waiting:
                started_at_s = time.perf_counter()
                text = await ask(clip)
                answers[index] = Answer(text, time.perf_counter() - started_at_s)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(call())
        except ExceptionGroup as failures:
            raise _first(failures) from None
        return [answers[index] for index in range(len(clips))]

    return run


def fields_of(model: str, options: DecodeOptions) -> dict[str, str]:
    """The fields of the form that asks for it."""
    fields = {"model": model, "response_format": "verbose_json" if options.timestamps else "json"}
    if options.beam_size is not None:
        fields["beam_size"] = str(options.beam_size)
    if options.language:
        fields["language"] = options.language
    return fields


async def made_forms(clips: Sequence[Clip], fields: Mapping[str, str]) -> dict[Path, tuple[bytes, str]]:
    """The bodies of the small clips and their content types: making them is a millisecond of the client's own."""
    forms = {}
    for path in dict.fromkeys(clip.path for clip in clips):
        if path.stat().st_size < _STREAM_FROM_BYTES:
            payload = _form(path, fields)()
            forms[path] = (await payload.as_bytes(), payload.headers["Content-Type"])
    return forms


def over_http(
    session: aiohttp.ClientSession,
    url: str,
    fields: Mapping[str, str],
    forms: Mapping[Path, tuple[bytes, str]] = MappingProxyType({}),
) -> Ask:
    """Uploads the file as it is: by one of `forms` that were made before, or by a form that is made now."""

    async def ask(clip: Clip) -> str:
        made, kind = forms.get(clip.path, (None, None))
        body = _form(clip.path, fields) if made is None else made
        headers = {"Content-Type": kind} if kind else None
        try:
            async with session.post(f"{url}/v1/audio/transcriptions", data=body, headers=headers) as reply:
                if reply.status != HTTPStatus.OK:
                    raise BenchError(f"{clip.name}: HTTP {reply.status} {(await reply.text())[:200]}")
                text: str = (await reply.json())["text"]
                return text
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BenchError(f"{clip.name}: {type(error).__name__} {error}") from error

    return ask


def _form(path: Path, fields: Mapping[str, str]) -> aiohttp.FormData:
    """Small files are sent from memory, as a recorder would; aiohttp reads and closes the others."""
    form = aiohttp.FormData(fields)
    is_small = path.stat().st_size < _STREAM_FROM_BYTES
    form.add_field("file", path.read_bytes() if is_small else path.open("rb"), filename=path.name)
    return form


def over_grpc(transcriber: TritonTranscriber, model: str, options: DecodeOptions, cut: Cut) -> Ask:
    """Sends the utterances that `cut` makes of a clip, all at once."""
    numbers = itertools.count()

    async def transcript(samples: Samples) -> str:
        deadline = Deadline.after(_UTTERANCE_TIMEOUT_S, now_s=time.monotonic())
        with Permit(lambda: None) as permit:
            try:
                answer = await transcriber.transcribe(
                    samples, options, model=model, request_id=f"bench-{next(numbers)}", deadline=deadline, permit=permit
                )
            except TritoneError as error:
                raise BenchError(f"Triton: {error}") from error
        return answer.text.strip()

    async def ask(clip: Clip) -> str:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(transcript(samples)) for samples in cut(clip)]
        return " ".join(task.result() for task in tasks)

    return ask


def cut_as_the_gateway(clip: Clip) -> list[Samples]:
    """The utterances that the gateway's default settings make of a clip."""
    settings = Settings()
    with clip.path.open("rb") as file:
        cuts = FileCuts(
            file,
            partial(decode, max_audio_s=settings.max_audio_s),
            config=settings.file_segmenter,
            vad=settings.file_vad,
        )
        return [cut.samples for cut in iter(cuts.next_utterance, None) if isinstance(cut, Utterance)]


@asynccontextmanager
async def in_process(plan: Plan) -> AsyncIterator[tuple[Run, ProcessTree]]:
    """faster-whisper in a child process, loaded. Raises BenchError when it ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.inprocess"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE_BYTES,
        # BLAS threads would fight with CTranslate2's for the cores.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
        preexec_fn=dies_with_this_process(),
    )

    async def ask(question: object, timeout_s: float) -> list[tuple[str, float]]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        try:
            async with asyncio.timeout(timeout_s):
                line = await process.stdout.readline()
        except TimeoutError:
            raise BenchError(f"faster-whisper took longer than {timeout_s:.0f} s") from None
        if not line:
            raise BenchError("the process with faster-whisper ended by itself")
        answer: list[tuple[str, float]] = json.loads(line)
        return answer

    async def run(clips: Sequence[Clip]) -> list[Answer]:
        timed = await ask([str(clip.path.absolute()) for clip in clips], REQUEST_TIMEOUT_S)
        return [Answer(text, latency_s) for text, latency_s in timed]

    try:
        await ask(dataclasses.asdict(plan), _LOAD_TIMEOUT_S)
        yield run, ProcessTree(process.pid)
    finally:
        # It holds nothing that could be lost.
        process.kill()
        await process.wait()


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
