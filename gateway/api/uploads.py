"""Reads a multipart upload as a stream: the file into an unlinked temporary file, the fields into memory."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from gateway.core.errors import AudioTooLong, BadAudio, BadRequest, IdleTimeout
from gateway.settings import Settings

T = TypeVar("T")

FILE_FIELD = "file"
CHUNK_BYTES = 256 * 1024
MAX_FIELDS = 64
# Part headers and boundaries, over what the file and the fields hold.
_FORM_OVERHEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class Upload:
    """A form: `file` at its start, its size, and the other fields in the order they came."""

    file: BinaryIO
    file_bytes: int | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)


@asynccontextmanager
async def received(request: web.Request, settings: Settings) -> AsyncIterator[Upload]:
    """The form of `request`; its file is gone afterwards, whatever happens.

    Raises BadRequest (no or damaged form), BadAudio (empty file), AudioTooLong (too many bytes), IdleTimeout (slow).
    """
    if request.content_type != "multipart/form-data":
        raise BadRequest("The body must be multipart/form-data.", code="invalid_form")
    if (request.content_length or 0) > settings.max_upload_bytes + _FORM_OVERHEAD_BYTES + settings.max_field_bytes:
        raise _too_large(settings)
    with tempfile.TemporaryFile(prefix="tritone-") as file:
        upload = Upload(file)
        await _receive(request, upload, settings)
        if upload.file_bytes is None:
            raise BadRequest("The form has no file.", code="missing_required_parameter", param=FILE_FIELD)
        if not upload.file_bytes:
            raise BadAudio("The file is empty.", param=FILE_FIELD)
        file.seek(0)
        yield upload


async def _receive(request: web.Request, upload: Upload, settings: Settings) -> None:
    pace = Pace(request, settings)
    try:
        reader = await request.multipart()
        while (part := await pace.within(reader.next())) is not None:
            if isinstance(part, MultipartReader) or not part.name or not _is_plain(part):
                raise BadRequest("A part of the form is nested, encoded, or has no name.", code="invalid_form")
            if part.name == FILE_FIELD:
                await _receive_file(part, upload, pace, settings)
            else:
                await _receive_field(part, part.name, upload, pace, settings)
    except (ValueError, AssertionError, RuntimeError, BadHttpMessage) as error:
        # aiohttp's multipart reader answers a damaged body with any of these.
        raise BadRequest("The form is damaged.", code="invalid_form") from error


def _is_plain(part: BodyPartReader) -> bool:
    return part.headers.get("Content-Transfer-Encoding", "binary").lower() in ("binary", "8bit", "7bit")


async def _receive_file(part: BodyPartReader, upload: Upload, pace: "Pace", settings: Settings) -> None:
    if upload.file_bytes is not None:
        raise BadRequest("The form has more than one file.", code="invalid_form", param=FILE_FIELD)
    upload.file_bytes = 0
    while chunk := await pace.within(part.read_chunk(CHUNK_BYTES)):
        upload.file_bytes += len(chunk)
        if upload.file_bytes > settings.max_upload_bytes:
            raise _too_large(settings)
        upload.file.write(chunk)


async def _receive_field(part: BodyPartReader, name: str, upload: Upload, pace: "Pace", settings: Settings) -> None:
    if len(upload.fields) >= MAX_FIELDS:
        raise BadRequest(f"The form has more than {MAX_FIELDS} fields.", code="invalid_form")
    value = bytearray()
    while chunk := await pace.within(part.read_chunk()):
        value += chunk
        if len(value) > settings.max_field_bytes:
            raise BadRequest(
                f"The field is larger than {settings.max_field_bytes} bytes.", code="field_too_large", param=name
            )
    try:
        upload.fields.append((name, value.decode()))
    except UnicodeDecodeError:
        raise BadRequest("The field is not UTF-8 text.", code="invalid_parameter", param=name) from None


class Pace:
    """Bounds how slowly a body may come: the longest pause, the mean rate, the whole time."""

    def __init__(self, request: web.Request, settings: Settings) -> None:
        self._content = request.content
        self._settings = settings
        self._started_at_s = time.monotonic()

    async def within(self, read: Awaitable[T]) -> T:
        """The result of `read`. Raises IdleTimeout."""
        try:
            async with asyncio.timeout(self._allowed_s()):
                return await read
        except TimeoutError:
            raise IdleTimeout("The upload was too slow.") from None

    def _allowed_s(self) -> float:
        settings = self._settings
        elapsed_s = time.monotonic() - self._started_at_s
        allowed_s = min(settings.upload_idle_s, settings.upload_timeout_s - elapsed_s)
        if rate := settings.upload_min_rate_bytes_per_s:
            due_s = settings.upload_idle_s + self._content.total_bytes / rate
            allowed_s = min(allowed_s, due_s - elapsed_s)
        return max(0.0, allowed_s)


def _too_large(settings: Settings) -> AudioTooLong:
    return AudioTooLong(
        f"The file is larger than {settings.max_upload_bytes} bytes.", code="file_too_large", param=FILE_FIELD
    )
