"""A real service whose parts are broken on purpose, under real load."""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

from tests.fixtures.audio_files import SPEECH, TRANSCRIPTS
from tests.integration.conftest import MODEL, Server, running

WITHIN_S = 90
# A fresh process holds 230 to 260, and one that is ordered to grow 256 more.
RESIDENT_LIMIT_MIB = 430
STUB = "triton_python_backend_stub"
NORMALIZED = EnglishTextNormalizer()


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """`tritone up` that takes faults, replaces what has grown at once, and is patient with what is away."""
    # Hundreds of sessions come from one address, and their texts from a machine that may be busy with other tests.
    with running(
        test_faults=1,
        model_max_resident_mib=RESIDENT_LIMIT_MIB,
        recycle_interval_s=0,
        drain_s=5,
        max_sessions_per_key=256,
        final_timeout_s=120,
    ) as server:
        yield server


@dataclass
class Asked:
    """What the clients were told: how often which status, and what went wrong.

    While the service is `whole` nothing may be refused; what comes while it is not may be, and comes back later.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    whole: bool = True

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """Around what breaks the service, until it is ready again."""
        self.whole = False
        yield
        self.whole = True


@dataclass
class Service:
    """The service seen from outside, and its parts."""

    server: Server
    http: aiohttp.ClientSession
    injecting: triton.InferenceServerClient

    def parts(self, name: str) -> list[psutil.Process]:
        """The living processes of that name."""
        family = psutil.Process(self.server.process.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            return [child for child in family if child.name() == name and child.status() != psutil.STATUS_ZOMBIE]
        return []

    def part(self, name: str) -> psutil.Process:
        """The one there is."""
        (found,) = self.parts(name)
        return found

    async def ready(self) -> bool:
        """What /readyz says."""
        async with self.http.get("/readyz") as answer:
            return answer.status == 200

    async def away(self) -> bool:
        """Whether it says that it is not."""
        return not await self.ready()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over the samples that have these labels."""
        async with self.http.get("/metrics") as answer:
            return total(await answer.text(), name, **labels)

    async def model_metric(self, name: str) -> float:
        """As `metric`, of the model's own."""
        async with self.http.get(f"{self.triton_url('metrics')}/metrics") as answer:
            return total(await answer.text(), name)

    async def triton_ready(self) -> bool:
        """What tritonserver itself says of the model; False also where there is none."""
        if not self.parts("tritonserver"):
            return False
        with suppress(aiohttp.ClientConnectionError):
            async with self.http.get(f"{self.triton_url('http')}/v2/models/{MODEL}/ready") as answer:
                return answer.status == 200
        return False

    def triton_url(self, door: str) -> str:
        """Where tritonserver answers; `door` is http or metrics."""
        port = re.search(rf"--{door}-port=(\d+)", " ".join(self.part("tritonserver").cmdline()))
        assert port
        return f"http://127.0.0.1:{port[1]}"

    async def ask(self, clip: str, asked: Asked, **fields: str) -> None:
        """One request, whose answer must be what is said in this clip and no other."""
        came_when_whole = asked.whole
        form = aiohttp.FormData({"model": "whisper-1", **fields})
        form.add_field("file", (SPEECH / f"{clip}.flac").read_bytes(), filename="a.flac")
        async with self.http.post("/v1/audio/transcriptions", data=form) as answer:
            body = await answer.json()
            asked.statuses[answer.status] += 1
            if answer.status == 200:
                said = wer(NORMALIZED(TRANSCRIPTS[clip]), NORMALIZED(body["text"])) < 0.3
            else:
                said = not came_when_whole and answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
                # A client that comes back, if sooner than it was told to.
                await asyncio.sleep(0.1)
            if not said:
                asked.lost.append(f"{clip}: {answer.status} {body}")

    @asynccontextmanager
    async def under_load(self, clients: int) -> AsyncIterator[Asked]:
        """So many clients, each with a clip of its own, until the block ends; all their requests end with it."""
        asked, ended = Asked(), asyncio.Event()
        clips = sorted(TRANSCRIPTS)

        async def keep_asking(number: int) -> None:
            while not ended.is_set():
                await self.ask(clips[number % len(clips)], asked)

        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(keep_asking(number))
            try:
                await until(lambda: asked.statuses[200] >= clients)
                yield asked
            finally:
                ended.set()

    def inject(self, fault: str) -> None:
        """Orders a fault from the model itself; whether it answers is of no interest."""
        audio = triton.InferInput("AUDIO", [1, 16000], "INT16")
        audio.set_data_from_numpy(np.full((1, 16000), 999, np.int16))
        self.injecting.async_infer(MODEL, [audio], lambda result, error: None, parameters={"fault": fault})

    async def override(self, **overrides: float) -> None:
        """Has a fresh process of the model work with these; they are forgotten when it is healed or replaced."""
        config = self.injecting.get_model_config(MODEL, as_json=True)["config"]
        for name, value in overrides.items():
            config.setdefault("parameters", {})[name] = {"string_value": str(value)}
        await asyncio.to_thread(self.injecting.load_model, MODEL, config=json.dumps(config))
        await until(lambda: len(self.parts(STUB)) == 1)

    def triton_log(self) -> str:
        """All that Triton and the model have written."""
        path = re.search(r"\(log: ([^)]+)\)", "".join(self.server.log))
        assert path
        with open(path[1], errors="replace") as log:  # noqa: PTH123 - as short as it gets
            return log.read()


def total(page: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples on a Prometheus page that have these labels."""
    lines = (line for line in page.splitlines() if line.startswith(name))
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(one in line for one in wanted))


async def until(condition: Callable[[], object]) -> None:
    """Waits for what other processes do; a coroutine function is asked anew each time."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def service(server: Server) -> AsyncIterator[Service]:
    """The service, whole again."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, timeout=timeout, connector=connector) as http:
        service = Service(server, http, triton.InferenceServerClient(server.triton))
        await until(service.ready)
        await until(lambda: len(service.parts(STUB)) == 1)
        yield service
        service.injecting.close()


def kills() -> int:
    """How often the model is killed; more of it in `make test-chaos`."""
    return int(os.environ.get("TRITONE_CHAOS_KILLS", "2"))
