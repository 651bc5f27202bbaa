"""Who runs in a benchmark, and with what: builds every contender for one set of decode options."""

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from gateway.core.audio import DecodeOptions
from gateway.triton.client import TritonTranscriber
from loadtests.contenders import (
    REQUEST_TIMEOUT_S,
    Contender,
    Cut,
    callers,
    cut_as_the_gateway,
    fields_of,
    in_process,
    made_forms,
    over_grpc,
    over_http,
)
from loadtests.corpus import Clip, as_wav, join
from loadtests.inprocess import Plan
from loadtests.processes import ProcessTree
from loadtests.service import Service

KEYS: Final = ("a", "a1", "b", "c1", "c1w", "c4", "c16", "d", "e1", "e1w", "e16")
_HTTP_CLIENTS: Final = {"c1": 1, "c4": 4, "c16": 16}
_GRPC_CLIENTS: Final = {"e1": 1, "e1w": 1, "e16": 16}
_WARM_UP_CLIPS: Final = 2


@dataclass(frozen=True, slots=True)
class Recordings:
    """The corpus in every form that is sent. `clips` may hold each clip several times."""

    clips: tuple[Clip, ...]
    wavs: tuple[Clip, ...]
    joined: Clip


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for everybody. `language` None: detected."""

    model: str
    weights: Path
    beam_size: int
    language: str | None
    timestamps: bool

    @property
    def options(self) -> DecodeOptions:
        """As Tritone takes them."""
        return DecodeOptions(language=self.language, beam_size=self.beam_size, timestamps=self.timestamps)

    def plan(self, *, workers: int, threads: int, batched: bool = False) -> Plan:
        """As faster-whisper takes them."""
        return Plan(str(self.weights), workers, threads, batched, self.beam_size, self.language, self.timestamps)


def record(corpus: Sequence[Clip], folder: Path, *, repeat: int) -> Recordings:
    """Writes what is derived from the corpus into `folder`."""
    wav_folder = folder / "wav"
    wav_folder.mkdir()
    wavs = tuple(as_wav(clip, wav_folder) for clip in corpus)
    return Recordings(tuple(corpus) * repeat, wavs * repeat, join(corpus, folder / "joined.wav"))


class Lineup:
    """Builds contenders; what they need is opened in `stack` and closed with it."""

    def __init__(self, stack: AsyncExitStack, service: Service, conditions: Conditions, recordings: Recordings) -> None:
        self._stack = stack
        self._service = service
        self._conditions = conditions
        self._recordings = recordings

    async def build(self, keys: Sequence[str], progress: Callable[[str], None]) -> list[Contender]:
        """Those of `keys` that can be measured here, in the order of a round: what is compared runs close together."""
        local = [key for key in ("a", "a1", "b") if key in keys]
        contenders = [await self._faster_whisper(key, progress) for key in local]
        if any(key.startswith("e") for key in keys):
            if self._service.triton:
                contenders += await self._grpc([key for key in _GRPC_CLIENTS if key in keys], self._service.triton)
            else:
                progress("e1, e1w and e16 are left out: --triton says where gRPC is")
        contenders += await self._http([key for key in ("c1w", *_HTTP_CLIENTS, "d") if key in keys])
        return contenders

    async def _faster_whisper(self, key: str, progress: Callable[[str], None]) -> Contender:
        cores = len(os.sched_getaffinity(0))
        label, plan = {
            "a": (f"faster-whisper, {cores} callers, 1 thread each", self._conditions.plan(workers=cores, threads=1)),
            "a1": (f"faster-whisper, 1 caller, {cores} threads", self._conditions.plan(workers=1, threads=cores)),
            "b": (
                f"faster-whisper batched, {cores} threads, joined file",
                self._conditions.plan(workers=1, threads=cores, batched=True),
            ),
        }[key]
        progress(f"loading {label}")
        run, tree = await self._stack.enter_async_context(in_process(plan))
        clips = (self._recordings.joined,) if key == "b" else self._recordings.clips
        return Contender(key, label, clips, self._recordings.clips[:_WARM_UP_CLIPS], run, tree)

    async def _http(self, keys: Sequence[str]) -> list[Contender]:
        # Slots of the pool are not what should be waited for.
        session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            )
        )
        clips, tree = self._recordings.clips, self._tree
        fields = fields_of(self._conditions.model, self._conditions.options)
        forms = await made_forms([*clips, *self._recordings.wavs], fields)
        ask = over_http(session, self._service.url, fields, forms)
        found = []
        for key in keys:
            if key == "d":
                joined = (self._recordings.joined,)
                found.append(Contender(key, "Tritone, HTTP, joined file", joined, clips[:1], callers(ask, 1), tree))
            elif key == "c1w":
                wavs = self._recordings.wavs
                label = "Tritone, HTTP, 1 client, 16 kHz wav"
                found.append(Contender(key, label, wavs, wavs[:_WARM_UP_CLIPS], callers(ask, 1), tree))
            else:
                clients = _HTTP_CLIENTS[key]
                label = f"Tritone, HTTP, {clients} client{'s' * (clients > 1)}"
                warm_up = clips[: max(clients, _WARM_UP_CLIPS)]
                found.append(Contender(key, label, clips, warm_up, callers(ask, clients), tree))
        return found

    async def _grpc(self, keys: Sequence[str], address: str) -> list[Contender]:
        transcriber = TritonTranscriber(address)
        self._stack.push_async_callback(transcriber.close)
        conditions, recordings = self._conditions, self._recordings
        utterances = {clip.name: cut_as_the_gateway(clip) for clip in dict.fromkeys(recordings.clips)}
        found = []
        for key in keys:
            clients, clips, how = _GRPC_CLIENTS[key], recordings.clips, "decoded and cut before"
            cut: Cut = lambda clip: utterances[clip.name]  # noqa: E731 - one of two, both one expression
            if key == "e1w":
                clips, how, cut = recordings.wavs, "16 kHz wav cut on the way", cut_as_the_gateway
            ask = over_grpc(transcriber, conditions.model, conditions.options, cut)
            label = f"Triton, gRPC, {clients} client{'s' * (clients > 1)}, {how}"
            warm_up = clips[: max(clients, _WARM_UP_CLIPS)]
            found.append(Contender(key, label, clips, warm_up, callers(ask, clients), self._tree))
        return found

    @property
    def _tree(self) -> ProcessTree | None:
        return self._service.tree
