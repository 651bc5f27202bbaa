"""One file over OpenAI's POST /v1/audio/transcriptions: its text as it comes, or the whole in a format."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from http import HTTPStatus
from typing import BinaryIO, Final

import aiohttp

from gateway.client.screen import Format
from gateway.client.service import Service, refusal
from gateway.remote import RefusedError

_RESPONSE_FORMATS: Final = {Format.JSON: "verbose_json", Format.SRT: "srt", Format.VTT: "vtt"}
_DONE: Final = "[DONE]"


async def transcribe(
    service: Service, file: BinaryIO, name: str, fields: Mapping[str, str], layout: Format
) -> AsyncIterator[str]:
    """Text piece by piece; any other format at once. Raises RefusedError."""
    asks = {"stream": "true"} if layout is Format.TEXT else {"response_format": _RESPONSE_FORMATS[layout]}
    form = aiohttp.FormData({"model": "whisper-1", **fields, **asks})
    form.add_field("file", file, filename=name)
    async with (
        service.connection() as http,
        http.post(f"{service.url}/v1/audio/transcriptions", data=form) as reply,
    ):
        if reply.status != HTTPStatus.OK:
            raise refusal(reply.status, reply.headers.get("Retry-After"), await _message(reply))
        if layout is not Format.TEXT:
            yield await reply.text()
            return
        async for piece in _deltas(reply.content):
            yield piece


async def _deltas(lines: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """The pieces of a text sent as events. Raises RefusedError where they end early."""
    async for line in lines:
        name, _, value = line.decode().strip().partition(": ")
        if name != "data":
            continue
        if value == _DONE:
            yield "\n"
            return
        event = json.loads(value)
        if "error" in event:
            raise RefusedError(event["error"]["message"])
        if event["type"] == "transcript.text.delta":
            yield event["delta"]
    raise RefusedError("the service ended the connection before the text was complete")


async def _message(reply: aiohttp.ClientResponse) -> str:
    try:
        return str((await reply.json())["error"]["message"])
    except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError):
        return ""
