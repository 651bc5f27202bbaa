"""OpenAI's POST /v1/audio/transcriptions and /v1/audio/translations."""

import time

from aiohttp import web

from gateway.api.form import ResponseFormat, TranscriptionForm, parse
from gateway.api.formats import as_json, as_text, as_verbose_json
from gateway.api.keys import ADMISSION, DISPATCH, DRAINING, REQUEST_ID, SETTINGS, TELEMETRY, WARDEN
from gateway.api.models import served_model
from gateway.api.replies import json_response
from gateway.api.uploads import Upload, received
from gateway.core.audio import Task
from gateway.core.deadline import Deadline
from gateway.core.errors import ShuttingDown
from gateway.core.stitching import FileTranscript
from gateway.dispatch import Job
from gateway.file_cuts import FileCuts

CONTENT_TYPES = {ResponseFormat.SRT: "application/x-subrip", ResponseFormat.VTT: "text/vtt"}


async def transcriptions(request: web.Request) -> web.Response:
    """Speech to text in its own language."""
    return await _reply(request, Task.TRANSCRIBE)


async def translations(request: web.Request) -> web.Response:
    """Speech to English text."""
    return await _reply(request, Task.TRANSLATE)


async def _reply(request: web.Request, task: Task) -> web.Response:
    app = request.app
    if app[DRAINING].is_set():
        raise ShuttingDown("The service is stopping.")
    with app[ADMISSION].enter():
        app[WARDEN].require_any()
        started_at_s = time.monotonic()
        async with received(request, app[SETTINGS]) as upload:
            app[TELEMETRY].stage_seconds.labels("upload").observe(time.monotonic() - started_at_s)
            app[TELEMETRY].upload_bytes.inc(upload.file_bytes or 0)
            form = parse(upload.fields, task=task, max_timeout_s=app[SETTINGS].request_timeout_s)
            model = served_model(app, form.model, arrived_at_s=started_at_s)
            transcript = await _transcript(request, upload, form, model)
    if form.response_format is ResponseFormat.VERBOSE_JSON:
        return json_response(as_verbose_json(transcript, task, words=form.options.word_timestamps))
    if form.response_format is ResponseFormat.JSON:
        return json_response(as_json(transcript))
    content_type = CONTENT_TYPES.get(form.response_format, "text/plain")
    return web.Response(text=as_text(transcript, form.response_format), content_type=content_type)


async def _transcript(request: web.Request, upload: Upload, form: TranscriptionForm, model: str) -> FileTranscript:
    settings = request.app[SETTINGS]
    job = Job(
        request_id=request[REQUEST_ID],
        model=model,
        options=form.options,
        deadline=Deadline.after(form.timeout_s or settings.request_timeout_s, now_s=time.monotonic()),
    )
    cuts = FileCuts(
        upload.file,
        max_audio_s=settings.max_audio_s,
        config=settings.file_segmenter,
        vad=settings.file_vad if form.vad_filter else "none",
    )
    return await request.app[DISPATCH].transcribe_file(cuts, job)
