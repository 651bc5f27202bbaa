"""SIGTERM at full load: what was accepted is answered, what is new is refused, and the process ends by itself."""

import asyncio
import signal
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import tritonclient.grpc as triton
from jiwer import wer

from tests.chaos.conftest import NORMALIZED, STUB, WITHIN_S, Asked, Service, until
from tests.fixtures.audio_files import TRANSCRIPTS, speech, wav_bytes
from tests.integration.conftest import Server, running

FILES = 24
STREAMS = 8
REALTIMES = 4
CLIPS = sorted(TRANSCRIPTS)
GRACE_S = 40.0
NOTICE_S = 2.0
COMPLETED = "conversation.item.input_audio_transcription.completed"
# Longer than any pause in a clip: the utterance is open until somebody ends it.
SILENCE_MS = 2000
TURNS = {"type": "server_vad", "silence_duration_ms": SILENCE_MS}
SESSION = {
    "type": "transcription",
    "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}, "turn_detection": TURNS}},
}


@pytest.fixture
def server() -> Iterator[Server]:
    """A service that will be told to end; one that has ended already can't be told again."""
    with running(drain_s=GRACE_S, drain_notice_s=NOTICE_S, session_stall_s=60, ends_itself=True) as server:
        yield server


@dataclass
class Listener:
    """A client that has said a clip, whose end nobody has told, and hears what comes."""

    socket: aiohttp.ClientWebSocketResponse
    clip: str
    realtime: bool

    async def say(self) -> None:
        audio = speech(self.clip).tobytes()
        if not self.realtime:
            await self.socket.send_bytes(audio)
            return
        await self.socket.send_json({"type": "session.update", "session": SESSION})
        await self.socket.send_json({"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()})

    async def hears_its_text(self) -> bool:
        """Whether, until the socket closes with 1001, it hears what was said, and all of it."""
        told: list[dict[str, Any]] = [message.json() async for message in self.socket]
        kind, text = (COMPLETED, "transcript") if self.realtime else ("final", "text")
        said = " ".join(event[text] for event in told if event["type"] == kind)
        right = wer(NORMALIZED(TRANSCRIPTS[self.clip]), NORMALIZED(said)) < 0.3
        return right and self.socket.close_code == 1001


@asynccontextmanager
async def listeners(service: Service) -> AsyncIterator[list[Listener]]:
    async with AsyncExitStack() as stack:
        found = []
        for number in range(STREAMS + REALTIMES):
            realtime = number >= STREAMS
            url = "/v1/realtime?intent=transcription" if realtime else f"/v1/stream?silence_ms={SILENCE_MS}"
            socket = await stack.enter_async_context(service.http.ws_connect(url))
            found.append(Listener(socket, CLIPS[number % len(CLIPS)], realtime))
        yield found


async def ends(server: Server) -> int:
    async with asyncio.timeout(GRACE_S + 20):
        return await asyncio.to_thread(server.process.wait)


async def upload_in_halves(http: aiohttp.ClientSession, go_on: asyncio.Event) -> int:
    """The status that a file gets whose second half is sent when it may."""
    file = wav_bytes(speech("train"))

    async def halves() -> AsyncIterator[bytes]:
        yield file[: len(file) // 2]
        await go_on.wait()
        yield file[len(file) // 2 :]

    form = aiohttp.FormData({"model": "whisper-1"})
    form.add_field("file", halves(), filename="a.wav", content_type="audio/wav")
    async with http.post("/v1/audio/transcriptions", data=form) as answer:
        return answer.status


async def refused(http: aiohttp.ClientSession) -> bool:
    """Whether the notice is over."""
    async with http.post("/v1/audio/transcriptions", data=aiohttp.FormData({"model": "whisper-1"})) as answer:
        return answer.status == 503


async def all_inside(service: Service) -> bool:
    return await service.metric("tritone_requests_in_progress") == FILES


async def heard(service: Service) -> bool:
    async with service.http.get("/v1/sessions") as answer:
        sessions = (await answer.json())["data"]
    return len(sessions) == STREAMS + REALTIMES and all(session["audio_ms"] > 1000 for session in sessions)


async def test_everything_accepted_is_answered(server: Server) -> None:
    timeout, connector = aiohttp.ClientTimeout(total=WITHIN_S), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, timeout=timeout, connector=connector) as http:
        service, asked = Service(server, http, triton.InferenceServerClient(server.triton)), Asked()
        async with listeners(service) as talking, asyncio.TaskGroup() as group:
            for listener in talking:
                await listener.say()
            await until(lambda: heard(service))
            # Stopped, the model answers nothing: all of them are inside when the signal comes.
            stub = service.part(STUB)
            stub.suspend()
            texts = [group.create_task(listener.hears_its_text()) for listener in talking]
            for number in range(FILES):
                group.create_task(service.ask(CLIPS[number % len(CLIPS)], asked))
            go_on = asyncio.Event()
            uploading = group.create_task(upload_in_halves(http, go_on))
            await until(lambda: all_inside(service))
            await until(lambda: service.metric("tritone_uploads_in_progress"))
            server.process.send_signal(signal.SIGTERM)
            await until(service.away)
            # Within the notice a file is taken, a session is not.
            group.create_task(service.ask("train", asked))
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect("/v1/stream")
            assert caught.value.status == 503
            assert caught.value.headers is not None
            assert caught.value.headers["Retry-After"]
            stub.resume()
            await until(lambda: refused(http))
            go_on.set()
            assert await uploading == 200
        assert (asked.statuses, asked.lost) == ({200: FILES + 1}, [])
        assert [task.result() for task in texts] == [True] * len(texts)
        assert await ends(server) == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await service.ready()


async def test_a_second_signal_does_not_wait_for_anybody(server: Server) -> None:
    async with aiohttp.ClientSession(server.url) as http:
        service = Service(server, http, triton.InferenceServerClient(server.triton))
        await until(service.ready)
        service.part(STUB).suspend()
        asking = asyncio.create_task(service.ask("train", Asked()))
        await until(lambda: service.metric("tritone_utterances_in_flight"))
        server.process.send_signal(signal.SIGTERM)
        await until(lambda: server.logged("stopping: "))
        server.process.send_signal(signal.SIGTERM)
        assert await ends(server) == 130
        with pytest.raises(aiohttp.ClientError):
            await asking
