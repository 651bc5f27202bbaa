"""The users who do not behave: silent, gone, deaf, senseless, too fast, too slow. Each is right in one outcome only."""

import random
import socket
import time
from dataclasses import replace
from typing import Final

import gevent
import urllib3

from loadtests.crowd.outcomes import SHED_STATUSES, ShedError, WrongError
from loadtests.crowd.sockets import Conversation, connect
from loadtests.crowd.speech import BYTES_PER_S, Spoken, clips, long_clip
from loadtests.crowd.users import TRANSCRIPTIONS, WS_OK, Caller, check_words, failure, words_of
from loadtests.pacing import PIECE_MS

_STREAM: Final = "/v1/stream?interim_results=true"
_POLICY_CLOSE: Final = 1008
_BUG_CLOSE: Final = 1011
_TIMEOUT_STATUS: Final = 408
_CLIENT_ERRORS: Final = range(400, 500)
# Under overload a long recording that is sent at once is served all the same, in its turn.
_PATIENCE_S: Final = 180.0
_DEAF_S: Final = 5.0
_FAST: Final = 50.0
_SLOW_BYTES_PER_S: Final = 100
_SENSELESS: Final = (
    "?",
    "[]",
    "null",
    '{"type": "sing"}',
    '{"type": "configure", "sample_rate": "loud"}',
    "\u0000" * 99,
)


class Rude(Caller):
    """What is measured of these is how long it takes until they are done with."""

    abstract = True
    kind = "rude"

    def done(self, started_s: float) -> None:
        """It went as it should."""
        self.measured(self.name, time.monotonic() - started_s)


class Silent(Rude):
    """Connects and says nothing, until it is sent away."""

    name = "says nothing"

    def behave(self) -> None:
        """A session without a sound."""
        started_s = time.monotonic()
        with self.talking(_STREAM) as talk:
            if (code := talk.wait_end(_PATIENCE_S)) != _POLICY_CLOSE:
                raise WrongError(f"a silent session was closed with {code}")
        self.done(started_s)


class Abandoner(Rude):
    """Goes away in the middle of a word."""

    name = "abandons"

    def behave(self) -> None:
        """Half a sentence."""
        started_s = time.monotonic()
        clip = random.choice(clips())
        with self.talking(_STREAM) as talk:
            talk.speak(_first_half(clip))
            talk.reset()
        self.done(started_s)


class Deaf(Rude):
    """Talks, and never reads what it is told."""

    name = "never reads"

    def behave(self) -> None:
        """Some seconds of speech, then it goes."""
        started_s = time.monotonic()
        connected = connect(self.socket_url(_STREAM), self.headers, receive_buffer_bytes=4096)
        try:
            data, piece = random.choice(clips()).pcm, BYTES_PER_S * PIECE_MS // 1000
            while time.monotonic() < started_s + _DEAF_S:
                connected.send_binary(data[:piece])
                data = data[piece:] + data[:piece]
                gevent.sleep(PIECE_MS / 1000)
        finally:
            connected.shutdown()
        self.done(started_s)


class Senseless(Rude):
    """Sends what is no message, no audio and no file."""

    name = "sends garbage"

    def behave(self) -> None:
        """Each is told so, and nothing breaks."""
        started_s = time.monotonic()
        with self.talking("/v1/stream") as talk:
            talk.send_text(random.choice(_SENSELESS))
            self._check_refused(talk)
        with self.talking("/v1/stream?encoding=opus") as talk:
            talk.send_audio(random.randbytes(5_000))
            self._check_refused(talk)
        answer = self.upload("noise.flac", random.randbytes(50_000))
        if answer.status in SHED_STATUSES:
            raise ShedError(f"HTTP {answer.status}")
        if answer.status not in _CLIENT_ERRORS:
            raise WrongError(f"HTTP {answer.status} for a file of noise")
        self.done(started_s)

    def _check_refused(self, talk: Conversation) -> None:
        code = talk.wait_end(_PATIENCE_S)
        if code in (None, WS_OK, _BUG_CLOSE):
            raise WrongError(f"garbage was answered with {code}")


class Hasty(Rude):
    """Sends fifty times as fast as anybody speaks, and wants every word all the same."""

    name = "50 x real time"
    pause_s = (10.0, 20.0)

    def behave(self) -> None:
        """Everything at once, then close."""
        started_s = time.monotonic()
        clip = long_clip()
        with self.talking("/v1/stream") as talk:
            talk.speak(clip, speed=_FAST)
            talk.say("close")
            code = talk.wait_end(_PATIENCE_S)
            if code != WS_OK:
                raise WrongError(f"closed with {code}: {talk.why()}")
            for told in talk.of("failed"):
                raise failure(str(told.message["code"]))
            check_words(clip.reference, words_of(talk.told))
        self.done(started_s)


class Resumer(Rude):
    """Loses its connection in the middle, comes back, and misses nothing."""

    name = "resumes"

    def behave(self) -> None:
        """One sentence over two connections."""
        started_s = time.monotonic()
        clip = random.choice(clips())
        with self.talking(_STREAM) as before:
            started = before.wait_for("session.started", _PATIENCE_S)
            before.speak(_first_half(clip))
            before.reset()
        query = f"/v1/stream?session_id={started['session_id']}&resume_token={started['resume_token']}"
        with self.talking(query) as after:
            start_byte = after.wait_for("session.started", _PATIENCE_S)["received_until_ms"] * BYTES_PER_S // 1000
            after.speak(_rest(clip, start_byte))
            after.say("close")
            if (code := after.wait_end(_PATIENCE_S)) != WS_OK:
                raise WrongError(f"closed with {code}: {after.why()}")
            for told in after.of("failed"):
                raise failure(str(told.message["code"]))
            check_words(clip.reference, words_of([*before.told, *after.told]))
        self.done(started_s)


class SlowUploader(Rude):
    """A hundred bytes a second, until it is sent away."""

    name = "uploads at 100 B/s"

    def behave(self) -> None:
        """The status line is all it wants."""
        started_s = time.monotonic()
        status = self._upload()
        if status in SHED_STATUSES:
            raise ShedError(f"HTTP {status}")
        if status != _TIMEOUT_STATUS:
            raise WrongError(f"HTTP {status} for a slow upload")
        self.done(started_s)

    def _upload(self) -> int:
        host, port = self.address
        body, kind = urllib3.encode_multipart_formdata({"model": "whisper-1", "file": ("a.wav", bytes(1_000_000))})
        head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        with socket.create_connection((host, port), timeout=_PATIENCE_S) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            connection.settimeout(1.0)
            for start in range(0, len(body), _SLOW_BYTES_PER_S):
                connection.sendall(body[start : start + _SLOW_BYTES_PER_S])
                try:
                    return int(connection.recv(4096).split(maxsplit=2)[1])
                except TimeoutError:
                    continue
                except IndexError:
                    raise WrongError("a slow upload was cut off without an answer") from None
        return 0


class Churner(Rude):
    """Opens and closes sessions as fast as it may, with a word in some of them."""

    name = "opens and closes"
    pause_s = (0.1, 0.2)
    _speaks = False

    def behave(self) -> None:
        """One short session."""
        started_s = time.monotonic()
        clip = random.choice(clips())
        with self.talking(_STREAM) as talk:
            if self._speaks:
                talk.send_audio(clip.pcm[:BYTES_PER_S])
        self._speaks = not self._speaks
        self.done(started_s)


def _first_half(clip: Spoken) -> Spoken:
    return replace(clip, pcm=clip.pcm[: len(clip.pcm) // 4 * 2])


def _rest(clip: Spoken, start_byte: int) -> Spoken:
    return replace(clip, pcm=clip.pcm[start_byte // 2 * 2 :])
