"""A WebSocket of a user under gevent: it is read all the time, and what was told is kept with its time."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import gevent
import gevent.event
import websocket

from loadtests.crowd.outcomes import SHED_STATUSES, ShedError, WrongError
from loadtests.crowd.speech import BYTES_PER_S, Spoken
from loadtests.pacing import PIECE_MS, pieces

_CONNECT_S: Final = 30.0
_CLOSE_S: Final = 60.0
_SILENCE: Final = bytes(BYTES_PER_S * PIECE_MS // 1000)


@dataclass(frozen=True, slots=True)
class Told:
    """One message of the service, and when it came (time.monotonic)."""

    at_s: float
    message: dict[str, Any]

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.message.get("type"))


class Conversation:
    """One connection, read in a greenlet of its own until it ends."""

    def __init__(self, connected: websocket.WebSocket) -> None:
        self.told: list[Told] = []
        self.close_code: int | None = None
        self.sent_bytes = 0
        self._socket = connected
        self._news = gevent.event.Event()
        self._reader = gevent.spawn(self._read)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be told."""
        return bool(self._reader.ready())

    @property
    def sent_ms(self) -> int:
        """Audio sent so far."""
        return 1000 * self.sent_bytes // BYTES_PER_S

    def say(self, kind: str, **values: object) -> None:
        """Sends one JSON message."""
        self._socket.send(json.dumps({"type": kind, **values}))

    def send_text(self, text: str) -> None:
        """Sends whatever it is."""
        self._socket.send(text)

    def send_audio(self, data: bytes) -> None:
        """Sends one piece."""
        self._socket.send_binary(data)
        self.sent_bytes += len(data)

    def speak(self, clip: Spoken, *, speed: float = 1.0, send: Callable[[bytes], None] | None = None) -> float:
        """Sends a clip as it would be spoken; returns when its first byte was (time.monotonic)."""
        started_s = time.monotonic()
        for piece in pieces(len(clip.pcm), bytes_per_s=BYTES_PER_S, speed=speed):
            gevent.sleep(max(0.0, started_s + piece.due_s - time.monotonic()))
            if self.ended:
                raise WrongError(f"the service closed with {self.close_code} while it was spoken to: {self.why()}")
            (send or self.send_audio)(clip.pcm[piece.start_byte : piece.end_byte])
        return started_s

    def pause_until(
        self, done: Callable[[], bool], within_s: float, *, send: Callable[[bytes], None] | None = None
    ) -> None:
        """Sends silence at real-time pace until `done`. Raises WrongError when that takes too long."""
        ends_s = time.monotonic() + within_s
        while not done():
            if self.ended or time.monotonic() > ends_s:
                raise WrongError(f"no answer; {'closed with ' + str(self.close_code) if self.ended else 'waited'}")
            (send or self.send_audio)(_SILENCE)
            self._news.clear()
            gevent.sleep(PIECE_MS / 1000)

    def wait_end(self, within_s: float = _CLOSE_S) -> int | None:
        """Waits for the service to end the connection; its close code. Raises WrongError."""
        self._reader.join(timeout=within_s)
        if not self.ended:
            raise WrongError(f"the connection was not closed within {within_s:g} s")
        return self.close_code

    def wait_for(self, kind: str, within_s: float) -> dict[str, Any]:
        """The first message of a type. Raises WrongError."""
        ends_s = time.monotonic() + within_s
        while True:
            if found := self.of(kind):
                return found[0].message
            if self.ended or time.monotonic() > ends_s:
                raise WrongError(f"no {kind}: {self.why()}")
            self._news.clear()
            self._news.wait(timeout=max(0.0, ends_s - time.monotonic()))

    def of(self, *kinds: str) -> list[Told]:
        """The messages of some types."""
        return [told for told in self.told if told.kind in kinds]

    def why(self) -> str:
        """The last error that was told, by its code."""
        errors = self.of("error")
        return str(errors[-1].message.get("code") or errors[-1].message.get("error")) if errors else "no error told"

    def reset(self) -> None:
        """As a machine whose network is gone: nothing is said good-bye to."""
        assert self._socket.sock
        self._socket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.leave()

    def leave(self) -> None:
        """Ends the connection without a word, and the reading of it."""
        self._reader.kill()
        self._socket.shutdown()

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self._socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big") if len(data) > 1 else None
                    return
                self.told.append(Told(time.monotonic(), json.loads(data)))
                self._news.set()
        except (OSError, websocket.WebSocketException):
            return
        finally:
            self._news.set()


@contextmanager
def conversation(url: str, headers: Mapping[str, str]) -> Iterator[Conversation]:
    """A connection, ended afterwards in any case. Raises ShedError where the service has no room."""
    talk = Conversation(connect(url, headers))
    try:
        yield talk
    finally:
        talk.leave()


def connect(url: str, headers: Mapping[str, str], *, receive_buffer_bytes: int | None = None) -> websocket.WebSocket:
    """A connection that nobody reads yet. Raises ShedError as above."""
    options = [] if receive_buffer_bytes is None else [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)]
    try:
        connected = websocket.create_connection(url, timeout=_CONNECT_S, sockopt=options, header=dict(headers))
    except websocket.WebSocketBadStatusException as refused:
        if refused.status_code in SHED_STATUSES:
            raise ShedError(f"HTTP {refused.status_code}") from None
        raise WrongError(f"HTTP {refused.status_code} instead of a WebSocket") from None
    connected.settimeout(None)
    return connected
