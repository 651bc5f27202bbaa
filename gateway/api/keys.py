"""The names under which the application keeps its objects."""

import asyncio

from aiohttp import web

from gateway.core.admission import Admission
from gateway.dispatch import Dispatch
from gateway.live.registry import Registry
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.triton.fleet import Fleet

SETTINGS = web.AppKey("settings", Settings)
TELEMETRY = web.AppKey("telemetry", Telemetry)
ADMISSION = web.AppKey("admission", Admission)
FLEET = web.AppKey("fleet", Fleet)
DISPATCH = web.AppKey("dispatch", Dispatch)
STOPPING = web.AppKey("stopping", asyncio.Event)
DRAINING = web.AppKey("draining", asyncio.Event)
LIVE = web.AppKey("live", Registry)
STARTED_AT_UNIX_S = web.AppKey("started_at_unix_s", int)

REQUEST_ID = web.RequestKey("request_id", str)
SOCKET = web.RequestKey("socket", web.WebSocketResponse)
