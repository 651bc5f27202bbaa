"""The composition root: builds each object once, and runs them."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import orjson
from aiohttp import hdrs, web

from gateway.api import openapi
from gateway.api.access import access
from gateway.api.boundary import boundary, expect, stamp
from gateway.api.keys import (
    ADMISSION,
    API_KEYS,
    CONTEXTS,
    DISPATCH,
    DRAINING,
    FLEET,
    LIVE,
    OPEN_REQUESTS,
    OPENAPI,
    ORIGINS,
    SETTINGS,
    STARTED_AT_UNIX_S,
    STOPPING,
    TELEMETRY,
)
from gateway.api.origins import origins, protect
from gateway.api.routes import ROUTES
from gateway.audio.vad import scorer_for
from gateway.core.admission import Admission, AdmissionLimits
from gateway.core.recovery import RecoveryLimits
from gateway.dispatch import Dispatch, DispatchLimits
from gateway.key_file import KeyFile
from gateway.key_watch import watch
from gateway.listener import listen
from gateway.live.budget import AudioBudget
from gateway.live.contexts import ContextLimits, Contexts
from gateway.live.registry import Registry, RegistryLimits
from gateway.live.shared import Shared
from gateway.open_requests import OpenRequests
from gateway.settings import MIB, Settings
from gateway.telemetry import Telemetry
from gateway.triton.client import TritonTranscriber
from gateway.triton.control import Backend
from gateway.triton.fleet import Fleet, FleetLimits
from gateway.triton.keeper import KeeperLimits
from gateway.triton.memory import machine_bytes
from gateway.triton.warden import WardenLimits

logger = logging.getLogger(__name__)

# A model that hangs ends itself first; it is healed for a hang that its own watch does not see.
_LATE_HANGS = 3


def build_app(
    settings: Settings,
    *,
    connect: Callable[[str], Backend] = TritonTranscriber,
    restart_triton: Callable[[], None] | None = None,
) -> web.Application:
    """The application; `connect` makes the backend for the address of a Triton once the loop runs.

    `restart_triton` is there where Triton is our own.
    """
    # It tells of damaged forms byte by byte.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    # client_max_size bounds what aiohttp itself would hold in memory; uploads are streamed under their own limit.
    app = web.Application(middlewares=[boundary, origins, access], client_max_size=settings.max_field_bytes)
    app.on_response_prepare.append(stamp)
    app.on_response_prepare.append(protect)
    app[SETTINGS] = settings
    app[ORIGINS] = settings.origins
    app[OPENAPI] = orjson.dumps(openapi.document(settings))
    app[API_KEYS] = KeyFile(settings.api_key_file, admin_key=settings.admin_key, max_keys=settings.max_api_keys)
    app[TELEMETRY] = Telemetry()
    app[ADMISSION] = Admission(_admission_limits(settings))
    app[TELEMETRY].watch(app[ADMISSION])
    app[STOPPING] = asyncio.Event()
    app[DRAINING] = asyncio.Event()
    app[OPEN_REQUESTS] = OpenRequests()
    app[TELEMETRY].show(
        "tritone_open_requests", "Requests without their answer, WebSockets too", lambda: app[OPEN_REQUESTS].count
    )
    app[STARTED_AT_UNIX_S] = int(time.time())
    app.cleanup_ctx.append(_backend(connect, fleet_limits(settings, restart_triton)))
    app.cleanup_ctx.append(_live)
    app.cleanup_ctx.append(_key_watch)
    for route in ROUTES:
        if route.method == hdrs.METH_GET:
            app.router.add_get(route.path, route.handler, expect_handler=expect)
        else:
            app.router.add_route(route.method, route.path, route.handler, expect_handler=expect)
    return app


async def serve(
    settings: Settings,
    *,
    listener: socket.socket,
    stop: asyncio.Event,
    restart_triton: Callable[[], None] | None = None,
) -> None:
    """Answers on `listener` until `stop` is set, then gives notice, and lets open requests end within `drain_s`.

    Cancelled, it waits for nobody: what is open then ends with the loop.
    """
    app = build_app(settings, restart_triton=restart_triton)
    runner = await listen(app, listener)
    await stop.wait()
    app[STOPPING].set()
    await asyncio.sleep(settings.drain_notice_s)
    await drained(app)
    await runner.cleanup()


async def drained(app: web.Application) -> None:
    """Refuses what is new, has live sessions end, and lets what is open be answered within `drain_s`.

    All that before aiohttp closes any connection: it takes nothing more from a connection it will close, not even the
    rest of an upload.
    """
    settings = app[SETTINGS]
    app[DRAINING].set()
    app[LIVE].drain(within_s=0.8 * settings.drain_s)
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.drain_s):
            await app[OPEN_REQUESTS].ended()


def _backend(
    connect: Callable[[str], Backend], limits: FleetLimits
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        settings = app[SETTINGS]
        fleet = app[FLEET] = Fleet(connect, app[TELEMETRY], limits)
        decoders = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        app[DISPATCH] = Dispatch(
            app[ADMISSION],
            fleet,
            app[TELEMETRY],
            decoders=decoders,
            limits=DispatchLimits(
                settings.fan_out, settings.long_file_after_s, settings.utterance_timeout_s, settings.retry_reserve
            ),
        )
        # Asked before the door opens, so that a first request finds the model known; a Triton that is away is waited
        # for with the door open.
        await fleet.find()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.canary_timeout_s):
                await fleet.check()
        try:
            async with _beside(fleet.run(), name="models"):
                yield
        finally:
            await fleet.close()
            decoders.shutdown(wait=True, cancel_futures=True)

    return context


async def _live(app: web.Application) -> AsyncIterator[None]:
    settings, telemetry = app[SETTINGS], app[TELEMETRY].live
    for vad in (settings.stream_vad, settings.file_vad):
        # What is missing for one is told now, and what it loads delays no session.
        scorer_for(vad)
    shared = Shared(
        dispatch=app[DISPATCH],
        telemetry=telemetry,
        budget=AudioBudget(
            telemetry, limit_bytes=settings.max_live_audio_mib * MIB, wait_s=settings.audio_budget_wait_s
        ),
        limits=settings.session_limits,
        vad=settings.stream_vad,
        final_timeout_s=settings.final_timeout_s,
        partial_timeout_s=settings.partial_timeout_s,
        grace_s=settings.session_grace_s,
    )
    limits = RegistryLimits(settings.max_sessions, settings.max_sessions_per_key)
    app[LIVE] = Registry(shared, app[ADMISSION], limits)
    app[LIVE].watch(app[TELEMETRY])
    app[CONTEXTS] = Contexts(
        app[TELEMETRY],
        ContextLimits(
            max_contexts=settings.max_contexts,
            max_of_caller=settings.max_contexts_per_key,
            max_requests=settings.max_context_requests,
            idle_s=settings.context_idle_s,
        ),
    )
    yield
    app[CONTEXTS].close()
    await app[LIVE].close()


async def _key_watch(app: web.Application) -> AsyncIterator[None]:
    watching = watch(app[API_KEYS], app[TELEMETRY], interval_s=app[SETTINGS].api_keys_interval_s)
    async with _beside(watching, name="keys"):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None], *, name: str) -> AsyncIterator[None]:
    """Runs what has no end of its own, and ends it with the block."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_why)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _tell_why(watching: asyncio.Task[None]) -> None:
    if not watching.cancelled() and (bug := watching.exception()):
        logger.critical("nobody looks after the %s any more: a bug", watching.get_name(), exc_info=bug)


def _admission_limits(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        max_requests=settings.max_requests,
        permits=settings.permits,
        max_waiting_utterances=settings.max_waiting_utterances,
        max_waiting_audio_s=settings.max_waiting_audio_s,
        interim_permits=settings.partial_permits,
        interim_wait_s=settings.partial_wait_s,
        long_permits=settings.long_file_permits,
        max_uploads=settings.max_uploads,
        max_upload_bytes=settings.max_uploads_mib * MIB,
        max_requests_per_key=settings.max_requests_per_key,
    )


def fleet_limits(settings: Settings, restart_triton: Callable[[], None] | None) -> FleetLimits:
    """What the fleet and its wardens keep to."""
    return FleetLimits(
        triton=settings.triton,
        triton_metrics=settings.triton_metrics,
        max_endpoints=settings.max_endpoints,
        resolve_interval_s=settings.resolve_interval_s,
        wait_s=settings.recovery_wait_s,
        warden=_warden_limits(settings, restart_triton),
    )


def _warden_limits(settings: Settings, restart_triton: Callable[[], None] | None) -> WardenLimits:
    """The models share half of the machine's memory unless a size is set."""
    limit_bytes = settings.model_max_resident_mib * MIB or machine_bytes() // 2 // len(settings.models)
    return WardenLimits(
        models=settings.models,
        max_models=settings.max_models,
        metrics_address=None,
        keeper=KeeperLimits(
            heals=settings.warden == "on",
            pulse_interval_s=settings.pulse_interval_s,
            canary_interval_s=settings.canary_interval_s,
            canary_timeout_s=settings.canary_timeout_s,
            load_timeout_s=settings.model_load_timeout_s,
            resident_limit_bytes=limit_bytes,
            recycle_interval_s=settings.recycle_interval_s,
            restart=restart_triton,
            recovery=RecoveryLimits(late_s=_LATE_HANGS * settings.model_hang_limit_s),
        ),
    )
