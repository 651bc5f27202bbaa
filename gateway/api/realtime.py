"""OpenAI's GET /v1/realtime?intent=transcription: JSON events both ways, over a WebSocket."""

import secrets
from dataclasses import replace

import orjson
from aiohttp import web

from gateway.api.callers import caller_of
from gateway.api.keys import FLEET, LIVE, SETTINGS, TELEMETRY
from gateway.api.models import served_model
from gateway.api.replies import REPLIES
from gateway.api.sockets import accept, converse, refuse, websocket
from gateway.core.errors import BadRequest, Overloaded, TritoneError
from gateway.core.live.session_config import SessionConfig
from gateway.core.wire.fields import MAX_NAME_CHARS, Fields
from gateway.core.wire.realtime_events import RealtimeEvents
from gateway.core.wire.realtime_messages import (
    Append,
    BufferCommand,
    RealtimeOptions,
    client_event_id,
    parse_event,
)
from gateway.live.feed import Feed
from gateway.live.outbox import Outbox
from gateway.live.session import LiveSession

# Browsers send their key as a further one, which is not chosen.
SUBPROTOCOL = "realtime"


async def realtime(request: web.Request) -> web.WebSocketResponse:
    """A transcription session; it ends with its connection, since the protocol has no way to come back."""
    app = request.app
    socket = websocket(request, protocols=(SUBPROTOCOL,))
    options = _options(request)
    app[FLEET].require_any()
    with app[LIVE].admit(caller_of(request)) as seat:
        half = await accept(request, socket)
        events = RealtimeEvents(secrets.token_hex(8), lambda error: REPLIES[type(error)].type)
        outbox = Outbox(
            events.tell, app[TELEMETRY].live, max_messages=app[SETTINGS].outbox_messages, replaces_partials=False
        )
        try:
            live = await app[LIVE].open(seat, _config(app, options), door="realtime")
        except TritoneError as error:
            await refuse(request, socket, outbox, error)
            return socket
    options = replace(options, session_id=live.identity.id)
    outbox.put(events.created(options))
    live.attach(outbox)
    await converse(request, socket, half, _RealtimeDoor(app, live, outbox, events, options))
    return socket


class _RealtimeDoor:
    """As sockets.Door. A client's mistake is told, and the session goes on."""

    resumable = False

    def __init__(
        self, app: web.Application, live: LiveSession, outbox: Outbox, events: RealtimeEvents, options: RealtimeOptions
    ) -> None:
        self.live = live
        self.outbox = outbox
        self._app = app
        self._events = events
        self._options = options
        self._feed = Feed(live, outbox, options.encoding, options.sample_rate_hz)

    async def take(self, data: str | bytes) -> None:
        event: object = None
        try:
            event = _json(data)
            await self._obey(parse_event(event, self._options))
        except Overloaded:
            raise
        except TritoneError as error:
            self.outbox.put(self._events.error(error, event_id=client_event_id(event)))

    async def finish(self) -> None:
        await self._feed.finish()
        self.live.finish()

    async def _obey(self, command: RealtimeOptions | Append | BufferCommand) -> None:
        if isinstance(command, Append):
            await self._feed.push(command.audio)
        elif isinstance(command, RealtimeOptions):
            config = _config(self._app, command)
            await self._feed.change(command.encoding, command.sample_rate_hz)
            self.live.configure(config)
            self._options = command
            self.outbox.put(self._events.updated(command))
        elif command is BufferCommand.COMMIT:
            await self._feed.flush()
            self._events.check_commit()
            self.live.finalize()
            for told in self._events.commit():
                self.outbox.put(told)
        else:
            self._feed.discard()
            self.live.clear()
            for told in self._events.clear():
                self.outbox.put(told)


def _options(request: web.Request) -> RealtimeOptions:
    fields = Fields(request.query, {"intent", "model"}, is_query=True)
    if fields.text("intent", None, max_chars=MAX_NAME_CHARS) != "transcription":
        message = "This server transcribes: connect with intent=transcription."
        raise BadRequest(message, code="unsupported_parameter", param="intent")
    default = request.app[SETTINGS].model
    return RealtimeOptions(model=served_model(request.app, fields.identifier("model", default) or default))


def _config(app: web.Application, options: RealtimeOptions) -> SessionConfig:
    """Raises BadRequest, NotFound, ModelUnavailable."""
    settings = app[SETTINGS]
    model = served_model(app, options.model)
    base = SessionConfig(
        model=model,
        segmenter=settings.stream_segmenter,
        # The words that will not change any more are the deltas.
        interim_results=True,
        partial_interval_ms=settings.partial_interval_ms,
        # Nor has it a sign of life beside audio: that its client is there is told by the connection's own pings.
        may_idle=True,
    )
    return app[LIVE].shared.limits.checked(replace(options, model=model).session_config(base))


def _json(data: str | bytes) -> object:
    if isinstance(data, bytes):
        raise BadRequest("Events are text messages.", code="binary_message")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadRequest("The event is not JSON.", code="invalid_json") from None
