"""OpenAI's POST /v1/audio/transcriptions and /v1/audio/translations, at once or as events."""

import time
from functools import partial

from aiohttp import web

from gateway.api.entrance import entered
from gateway.api.events import EVENTS, EventStream
from gateway.api.form import ResponseFormat, TranscriptionForm, parse
from gateway.api.formats import as_json, as_text, as_verbose_json
from gateway.api.keys import DISPATCH, REQUEST_ID, SETTINGS, TELEMETRY
from gateway.api.models import served_model
from gateway.api.multipart import Upload
from gateway.api.replies import json_response
from gateway.api.uploads import received
from gateway.audio.decode import decode
from gateway.core.audio import Task
from gateway.core.deadline import Deadline
from gateway.core.stitching import FileTranscript, Part, added
from gateway.dispatch import Job, Listener, nobody
from gateway.file_cuts import FileCuts

# Text, srt and vtt have no other place to say why something was left out.
FILTERED_HEADER = "x-filtered"
CONTENT_TYPES = {ResponseFormat.SRT: "application/x-subrip", ResponseFormat.VTT: "text/vtt"}


async def transcriptions(request: web.Request) -> web.StreamResponse:
    """Speech to text in its own language."""
    return await _reply(request, Task.TRANSCRIBE)


async def translations(request: web.Request) -> web.StreamResponse:
    """Speech to English text."""
    return await _reply(request, Task.TRANSLATE)


async def _reply(request: web.Request, task: Task) -> web.StreamResponse:
    app = request.app
    with entered(request) as entrance:
        started_at_s = time.monotonic()
        async with received(request, app[SETTINGS]) as upload:
            entrance.uploaded()
            app[TELEMETRY].stage_seconds.labels("upload").observe(time.monotonic() - started_at_s)
            app[TELEMETRY].upload_bytes.inc(upload.file_bytes or 0)
            form = parse(upload.fields, task=task, max_timeout_s=app[SETTINGS].request_timeout_s)
            model = served_model(app, form.model, arrived_at_s=started_at_s)
            if form.stream:
                return await _streamed(request, upload, form, model)
            transcript = await _transcript(request, upload, form, model)
    if form.response_format is ResponseFormat.VERBOSE_JSON:
        return json_response(as_verbose_json(transcript, task, words=form.options.word_timestamps, judged=form.quality))
    if form.response_format is ResponseFormat.JSON:
        return json_response(as_json(transcript, judged=form.quality))
    content_type = CONTENT_TYPES.get(form.response_format, "text/plain")
    left_out = ", ".join(dict.fromkeys(each.reason for each in transcript.filtered))
    headers = {FILTERED_HEADER: left_out} if left_out else None
    return web.Response(text=as_text(transcript, form.response_format), content_type=content_type, headers=headers)


async def _streamed(request: web.Request, upload: Upload, form: TranscriptionForm, model: str) -> web.StreamResponse:
    events = request[EVENTS] = EventStream(request, send_timeout_s=request.app[SETTINGS].send_timeout_s)
    told = ""

    async def tell(part: Part) -> None:
        nonlocal told
        transcript = part.transcript
        if delta := added(told, transcript.text, language=transcript.language, task=form.options.task):
            told += delta
            await events.send({"type": "transcript.text.delta", "delta": delta})

    transcript = await _transcript(request, upload, form, model, tell)
    await events.send({"type": "transcript.text.done", **as_json(transcript, judged=form.quality)})
    await events.done()
    return events.response


async def _transcript(
    request: web.Request, upload: Upload, form: TranscriptionForm, model: str, tell: Listener = nobody
) -> FileTranscript:
    settings = request.app[SETTINGS]
    job = Job(
        request_id=request[REQUEST_ID],
        model=model,
        options=form.options,
        deadline=Deadline.after(form.timeout_s or settings.request_timeout_s, now_s=time.monotonic()),
        filters=form.filters,
        in_turn=form.in_turn,
    )
    cuts = FileCuts(
        upload.file,
        partial(decode, max_audio_s=settings.max_audio_s),
        config=settings.file_segmenter,
        vad=settings.file_vad if form.vad_filter else "none",
    )
    return await request.app[DISPATCH].transcribe_file(cuts, job, tell)
