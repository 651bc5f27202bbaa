"""The older service's POST /utterance and /reset: JSON with base64 audio in, JSON out, context by session."""

import binascii
import logging
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from aiohttp import web

from gateway.api.bodies import Body
from gateway.api.callers import caller_of
from gateway.api.entrance import entered, refuse_query
from gateway.api.keys import CONTEXTS, DISPATCH, REQUEST_ID, SETTINGS, TELEMETRY
from gateway.api.models import served_model
from gateway.api.replies import json_response
from gateway.audio.decode import CONTAINERS, decode
from gateway.audio.encodings import decode_packed, live_decoder
from gateway.audio.opus import OpusPackets
from gateway.core.admission import Lane
from gateway.core.deadline import Deadline
from gateway.core.errors import AudioTooLong, BadAudio, BadRequest, UnsupportedAudio, UnusableAudio
from gateway.core.live.context import Context
from gateway.core.wire.posting_messages import OPUS, PCM16, Heard, Posted, heard_to_wire, parse_posted, parse_reset
from gateway.dispatch import Job
from gateway.file_cuts import Decode, FileCuts
from gateway.live.posting import Order, hear
from gateway.settings import Settings

logger = logging.getLogger(__name__)


async def utterance(request: web.Request) -> web.Response:
    """The text of one piece of audio, of any length; with a `session_id`, in the context of those before it."""
    app = request.app
    with entered(request) as entrance:
        arrived_at_s = time.monotonic()
        async with _received(request) as (received, file):
            entrance.uploaded()
            app[TELEMETRY].stage_seconds.labels("upload").observe(time.monotonic() - arrived_at_s)
            model = served_model(app, received.model, arrived_at_s=arrived_at_s)
            posted = replace(received, model=model)
            deadline = Deadline.after(posted.timeout_s or app[SETTINGS].request_timeout_s, now_s=time.monotonic())
            job = Job(request[REQUEST_ID], model, posted.options, deadline, Lane.LIVE)
            heard = await _heard_in_session(request, posted, file, job)
    job_id = posted.job_id or f"job_{uuid.uuid4().hex}"
    logger.info("utterance", extra={"fields": {"job_id": job_id, "trace_id": posted.trace_id}})
    return json_response(heard_to_wire(heard, posted, job_id))


async def reset(request: web.Request) -> web.Response:
    """Forgets what a session remembers, after its requests that came before."""
    refuse_query(request)
    app = request.app
    settings = app[SETTINGS]
    with Body(app) as body:
        await body.read(request, max_bytes=settings.max_field_bytes)
        wanted = parse_reset(body.json())
    turn = app[CONTEXTS].turn(caller_of(request), wanted.session_id, within_s=settings.request_timeout_s)
    async with turn as place:
        place.context.forget(audio=wanted.audio, text=wanted.text)
    return json_response({"status": "ok", "session_id": wanted.session_id})


@asynccontextmanager
async def _received(request: web.Request) -> AsyncIterator[tuple[Posted, BinaryIO]]:
    """The request, and its audio in a file: nothing of it stays in memory while it waits."""
    app = request.app
    with tempfile.TemporaryFile(prefix="tritone-") as file:
        with Body(app) as body:
            await body.read(request, max_bytes=app[SETTINGS].max_posted_bytes)
            understood = partial(_understood, body, file, app[SETTINGS])
            # A few milliseconds at the most: there is nothing to stop.
            posted = await app[DISPATCH].in_thread(understood, stop=lambda: None)
        yield posted, file


def _understood(body: Body, file: BinaryIO, settings: Settings) -> Posted:
    """The request without its audio, which is written into `file`. Raises BadRequest."""
    posted = parse_posted(
        body.json(), model=settings.model, formats=CONTAINERS, max_timeout_s=settings.request_timeout_s
    )
    try:
        file.write(binascii.a2b_base64(posted.audio, strict_mode=True))
    except ValueError:
        raise BadRequest("The audio is not base64.", code="invalid_parameter", param="audio") from None
    file.seek(0)
    return replace(posted, audio="")


async def _heard_in_session(request: web.Request, posted: Posted, file: BinaryIO, job: Job) -> Heard:
    if posted.session_id is None:
        return await _heard(request.app, posted, file, job, Context())
    within_s = job.deadline.remaining_s(time.monotonic())
    async with request.app[CONTEXTS].turn(caller_of(request), posted.session_id, within_s=within_s) as place:
        # What its client is not told of, since it failed or left, is not remembered.
        context = place.context.copy()
        heard = await _heard(request.app, posted, file, job, context)
        context.forget(audio=False, text=not posted.use_text_context)
        place.context = context
        return heard


async def _heard(app: web.Application, posted: Posted, file: BinaryIO, job: Job, context: Context) -> Heard:
    settings = app[SETTINGS]
    config = posted.session_config(settings.file_segmenter)
    cuts = FileCuts(file, _decode(posted, settings), config=config.segmenter, vad=settings.file_vad)
    order = Order(
        job=job,
        first=config,
        rest=replace(config, text_context=posted.in_turn),
        fan_out=1 if posted.in_turn else settings.fan_out,
    )
    try:
        heard = await hear(cuts, order, context, app[DISPATCH])
    except (BadAudio, UnsupportedAudio, AudioTooLong) as error:
        raise UnusableAudio(error.message, code=error.reason, param="audio") from None
    app[TELEMETRY].audio_seconds.inc(heard.duration_s)
    return heard


def _decode(posted: Posted, settings: Settings) -> Decode:
    max_audio_s = settings.max_posted_audio_s
    if posted.audio_format == PCM16:
        decoder = live_decoder(PCM16, posted.sample_rate_hz)
        return partial(decode_packed, decoder=decoder, max_audio_s=max_audio_s)
    if posted.audio_format == OPUS:
        return partial(decode_packed, decoder=OpusPackets(), max_audio_s=max_audio_s)
    return partial(decode, max_audio_s=max_audio_s, container=posted.audio_format)
