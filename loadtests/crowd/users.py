"""The users who behave: they upload files, talk to /v1/stream and talk OpenAI's realtime protocol."""

import base64
import itertools
import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final
from urllib.parse import urlsplit

import gevent
import urllib3
from locust import User, task

from loadtests.crowd.outcomes import SHED_CODES, SHED_STATUSES, ShedError, WrongError, judged, measured
from loadtests.crowd.sockets import Conversation, Told, conversation
from loadtests.crowd.speech import AudioFile, Spoken, clips, long_file, short_files, wrong_words

TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
HTTP_OK: Final = 200
WS_OK: Final = 1000
# An end that was told may be this much before the last sound: the detector has its own opinion of it.
_END_SLACK_MS: Final = 400
_ANSWER_S: Final = 90.0
_TURNS: Final = 3
_REALTIME: Final = "/v1/realtime?intent=transcription"
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription"
_http: Final = urllib3.PoolManager(num_pools=4, maxsize=200, retries=False)


class Caller(User):
    """One who calls again and again; `behave` is one call. The time between two is in `pause_s`, and at random."""

    abstract = True
    kind = "?"
    name = "?"
    pause_s = (0.5, 1.5)

    @task
    def act(self) -> None:
        """One call, and what became of it."""
        with judged(self.environment, self.kind, self.name):
            self.behave()
        gevent.sleep(random.uniform(*self.pause_s))

    def behave(self) -> None:
        """One call. Raises ShedError, WrongError, or what a connection raises."""
        raise NotImplementedError

    def measured(self, name: str, took_s: float) -> None:
        """Something succeeded."""
        measured(self.environment, self.kind, name, took_s)

    @property
    def headers(self) -> dict[str, str]:
        """With the key, where there is one."""
        options = self.environment.parsed_options
        return {"Authorization": f"Bearer {options.api_key}"} if options and options.api_key else {}

    def talking(self, path: str) -> AbstractContextManager[Conversation]:
        """A connection to a route."""
        return conversation(self.socket_url(path), self.headers)

    def upload(self, name: str, data: bytes) -> urllib3.BaseHTTPResponse:
        """The answer to one file."""
        fields: dict[str, str | tuple[str, bytes]] = {"model": "whisper-1", "file": (name, data)}
        url = f"{self.host}{TRANSCRIPTIONS}"
        return _http.request("POST", url, fields=fields, headers=self.headers, timeout=_ANSWER_S)

    def socket_url(self, path: str) -> str:
        """The WebSocket's address of a route."""
        assert self.host
        return "ws" + self.host.removeprefix("http") + path

    @property
    def address(self) -> tuple[str, int]:
        """Where the service listens."""
        parts = urlsplit(self.host or "")
        assert parts.hostname
        return parts.hostname, parts.port or 80


class FileCaller(Caller):
    """Uploads the files of `files` in turn."""

    abstract = True
    kind = "file"

    def on_start(self) -> None:
        """Each user begins elsewhere."""
        files = self.files()
        first = random.randrange(len(files))
        self._next = itertools.cycle([*files[first:], *files[:first]])

    def files(self) -> Sequence[AudioFile]:
        """What it has."""
        raise NotImplementedError

    def behave(self) -> None:
        """One upload and its words."""
        file = next(self._next)
        started_s = time.monotonic()
        answer = self.upload(file.name, file.data)
        took_s = time.monotonic() - started_s
        if answer.status in SHED_STATUSES:
            raise ShedError(f"HTTP {answer.status}")
        if answer.status != HTTP_OK:
            raise WrongError(f"HTTP {answer.status} for {file.name}")
        check_words(file.reference, answer.json()["text"])
        self.measured(f"upload to answer, {self.name}", took_s)


class ShortFile(FileCaller):
    """A sentence or two, in every format."""

    weight = 2
    name = "short file"

    def files(self) -> Sequence[AudioFile]:
        """Every clip."""
        return short_files()


class LongFile(FileCaller):
    """Minutes at once."""

    name = "long file"
    pause_s = (15.0, 30.0)

    def files(self) -> Sequence[AudioFile]:
        """The largest payload there is."""
        return (long_file(),)


class StreamTalker(Caller):
    """Talks at real-time pace and wants interim results; some sentences, then it closes in order."""

    weight = 4
    kind = "stream"
    name = "stream"

    def behave(self) -> None:
        """One session."""
        with self.talking("/v1/stream?interim_results=true") as talk:
            for clip in random.sample(clips(), _TURNS):
                self._turn(talk, clip)
            talk.say("close")
            code = talk.wait_end()
            if code != WS_OK or not talk.of("session.closed"):
                raise WrongError(f"closed with {code}: {talk.why()}")

    def _turn(self, talk: Conversation, clip: Spoken) -> None:
        first, base_ms = len(talk.told), talk.sent_ms

        def answers() -> list[Told]:
            return [told for told in talk.told[first:] if told.kind in ("final", "failed")]

        def answered() -> bool:
            ends = [told.message.get("end_ms", 0) for told in answers()]
            failed = any(told.kind == "failed" for told in answers())
            return failed or any(end >= base_ms + 1000 * clip.speech_end_s - _END_SLACK_MS for end in ends)

        started_s = talk.speak(clip)
        talk.pause_until(answered, _ANSWER_S)
        for told in answers():
            if told.kind == "failed":
                raise failure(str(told.message["code"]))
        check_words(clip.reference, " ".join(told.message["text"] for told in answers()))
        partials = [told for told in talk.told[first:] if told.kind == "partial"]
        if partials:
            self.measured("first partial", partials[0].at_s - started_s - clip.speech_start_s)
        self.measured("end of speech to final", answers()[-1].at_s - started_s - clip.speech_end_s)


class RealtimeTalker(Caller):
    """As a program with OpenAI's SDK: base64 in JSON, the server finds the pauses."""

    weight = 2
    kind = "realtime"
    name = "realtime"

    def behave(self) -> None:
        """One session, left when everything was answered."""
        with self.talking(_REALTIME) as talk:
            talk.wait_for("session.created", _ANSWER_S)
            audio = {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}
            talk.say("session.update", session={"type": "transcription", "audio": audio})
            for clip in random.sample(clips(), _TURNS):
                self._turn(talk, clip)

    def _turn(self, talk: Conversation, clip: Spoken) -> None:
        first, base_ms = len(talk.told), talk.sent_ms

        def append(data: bytes) -> None:
            talk.say("input_audio_buffer.append", audio=base64.b64encode(data).decode())
            talk.sent_bytes += len(data)

        def of(*kinds: str) -> list[Told]:
            return [told for told in talk.told[first:] if told.kind in kinds]

        def answered() -> bool:
            stopped = [told.message["audio_end_ms"] for told in of("input_audio_buffer.speech_stopped")]
            committed = len(of("input_audio_buffer.committed"))
            done = len(of(f"{_TRANSCRIPTION}.completed", f"{_TRANSCRIPTION}.failed"))
            all_heard = any(end >= base_ms + 1000 * clip.speech_end_s - _END_SLACK_MS for end in stopped)
            return bool(of("error")) or (all_heard and done >= committed > 0)

        started_s = talk.speak(clip, send=append)
        talk.pause_until(answered, _ANSWER_S, send=append)
        for told in of(f"{_TRANSCRIPTION}.failed", "error"):
            raise failure(str(told.message["error"]["code"]))
        completed = of(f"{_TRANSCRIPTION}.completed")
        check_words(clip.reference, " ".join(told.message["transcript"] for told in completed))
        self.measured("end of speech to completed", completed[-1].at_s - started_s - clip.speech_end_s)


def check_words(reference: str, text: str) -> None:
    """Raises WrongError, without the words: only how many are wrong."""
    if wrong := wrong_words(reference, text):
        raise WrongError(wrong)


def words_of(told: Sequence[Told]) -> str:
    """The text of all finals; of an utterance that was told twice, once."""
    finals = {each.message["utterance"]: each.message["text"] for each in told if each.kind == "final"}
    return " ".join(text for _, text in sorted(finals.items()))


def failure(code: str) -> Exception:
    """What an utterance that was told as failed means: refused for want of room, or lost."""
    return ShedError(code) if code in SHED_CODES else WrongError(f"failed: {code}")
