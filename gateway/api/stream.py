"""Our GET /v1/stream: audio in as binary messages, JSON out as text messages, over a WebSocket."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from gateway.api.callers import caller_of
from gateway.api.keys import FLEET, LIVE, SETTINGS, TELEMETRY
from gateway.api.models import served_model
from gateway.api.sockets import accept, converse, first_message, refuse, websocket
from gateway.core.admission import Permit
from gateway.core.errors import BadRequest, TritoneError
from gateway.core.live.effects import Message
from gateway.core.live.session_config import SessionConfig
from gateway.core.wire.stream_messages import (
    Resume,
    StreamCommand,
    StreamOptions,
    message_to_wire,
    parse_message,
    parse_start,
    session_started,
)
from gateway.live.feed import Feed
from gateway.live.outbox import Outbox
from gateway.live.session import LiveSession

# For browsers, which have to offer one to be able to give a key.
SUBPROTOCOL = "tritone"


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Opens a session or goes on with one. What the query tells too late or wrongly is an HTTP answer."""
    app = request.app
    socket = websocket(request, protocols=(SUBPROTOCOL,))
    options = StreamOptions(model=app[SETTINGS].model)
    start = parse_start(request.query, options, is_query=True) if request.query else None
    first: str | bytes | None = None
    outbox = Outbox(_wire, app[TELEMETRY].live, max_messages=app[SETTINGS].outbox_messages, replaces_partials=True)
    with ExitStack() as held:
        if isinstance(start, Resume):
            seat = None
            # What it missed is there, whether or not a model is.
            app[LIVE].resume(start.session_id, start.resume_token)
        else:
            app[FLEET].require_any()
            seat = held.enter_context(app[LIVE].admit(caller_of(request)))
            if start is not None:
                _config(app, start)
        half = await accept(request, socket)
        try:
            if start is None:
                first = await first_message(request, socket)
                if first is None:
                    return socket
                data = _json(first) if isinstance(first, str) else None
                if isinstance(data, dict) and data.get("type") == "configure":
                    start, first = parse_start(data, options, is_query=False), None
            door = await _door(app, start or options, seat, outbox)
        except TritoneError as error:
            await refuse(request, socket, outbox, error)
            return socket
    await converse(request, socket, half, door, first=first)
    return socket


async def _door(
    app: web.Application, start: StreamOptions | Resume, seat: Permit | None, outbox: Outbox
) -> "_StreamDoor":
    if isinstance(start, Resume):
        live = app[LIVE].resume(start.session_id, start.resume_token)
        missed = live.missed(start.last_utterance)
        until_ms, options = live.account.audio_ms, live.stream_options
        assert options is not None, "only sessions of this door tell their token"
        start.check(options)
    else:
        assert seat is not None, "whoever does not come back has a seat"
        options, until_ms, missed = start, 0, []
        live = await app[LIVE].open(seat, _config(app, options), door="stream", name=options.session_id)
        live.stream_options = options
    outbox.put(session_started(live.identity.id, live.identity.resume_token, received_until_ms=until_ms))
    live.attach(outbox, missed)
    return _StreamDoor(app, live, outbox, options)


class _StreamDoor:
    """As sockets.Door."""

    resumable = True

    def __init__(self, app: web.Application, live: LiveSession, outbox: Outbox, options: StreamOptions) -> None:
        self.live = live
        self.outbox = outbox
        self._app = app
        self._options = options
        self._feed = Feed(live, outbox, options.encoding, options.sample_rate_hz)

    async def take(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            await self._feed.push(data)
            return
        command = parse_message(_json(data), self._options)
        if isinstance(command, StreamOptions):
            config = _config(self._app, command)
            await self._feed.change(command.encoding, command.sample_rate_hz)
            self.live.configure(config)
            self._options = self.live.stream_options = command
        elif command is StreamCommand.CLOSE:
            await self.finish()
        elif command is StreamCommand.FINALIZE:
            await self._feed.flush()
            self.live.finalize()
        elif command is StreamCommand.RESET:
            self.live.reset()
        else:
            self.live.keepalive()

    async def finish(self) -> None:
        await self._feed.finish()
        self.live.finish()


def _config(app: web.Application, options: StreamOptions) -> SessionConfig:
    """Raises BadRequest, NotFound, ModelUnavailable."""
    settings = app[SETTINGS]
    model = served_model(app, options.model)
    base = SessionConfig(
        model=model, segmenter=settings.stream_segmenter, partial_interval_ms=settings.partial_interval_ms
    )
    return app[LIVE].shared.limits.checked(replace(options, model=model).session_config(base))


def _wire(message: Message) -> Iterable[Mapping[str, Any]]:
    told = message_to_wire(message)
    return (told,) if told is not None else ()


def _json(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadRequest("The message is not JSON.", code="invalid_json") from None
