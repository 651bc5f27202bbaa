"""The names under which the application keeps its objects."""

import asyncio

from aiohttp import web

from gateway.core.admission import Admission
from gateway.core.api_keys import ApiKey
from gateway.dispatch import Dispatch
from gateway.key_file import KeyFile
from gateway.live.contexts import Contexts
from gateway.live.registry import Registry
from gateway.open_requests import OpenRequests
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.triton.fleet import Fleet

SETTINGS = web.AppKey("settings", Settings)
TELEMETRY = web.AppKey("telemetry", Telemetry)
ADMISSION = web.AppKey("admission", Admission)
FLEET = web.AppKey("fleet", Fleet)
DISPATCH = web.AppKey("dispatch", Dispatch)
STOPPING = web.AppKey("stopping", asyncio.Event)
OPEN_REQUESTS = web.AppKey("open_requests", OpenRequests)
DRAINING = web.AppKey("draining", asyncio.Event)
LIVE = web.AppKey("live", Registry)
CONTEXTS = web.AppKey("contexts", Contexts)
STARTED_AT_UNIX_S = web.AppKey("started_at_unix_s", int)
ORIGINS = web.AppKey("origins", frozenset[str])
OPENAPI = web.AppKey("openapi", bytes)
API_KEYS = web.AppKey("api_keys", KeyFile)

REQUEST_ID = web.RequestKey("request_id", str)
API_KEY = web.RequestKey("api_key", ApiKey)
SESSION_ID = web.RequestKey("session_id", str)
SOCKET = web.RequestKey("socket", web.WebSocketResponse)
