"""Receives an upload at a bounded pace: the file into an unlinked temporary file, the fields into memory."""

import asyncio
import errno
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from gateway.api.keys import ADMISSION
from gateway.api.multipart import FILE_FIELD, Form, FormLimits, Upload, too_large
from gateway.core.errors import BadAudio, BadRequest, IdleTimeout
from gateway.settings import Settings

T = TypeVar("T")

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Part headers and boundaries, over what the file and the fields hold.
_FORM_OVERHEAD_BYTES = 64 * 1024


@asynccontextmanager
async def received(request: web.Request, settings: Settings) -> AsyncIterator[Upload]:
    """The form of `request`; its file is gone afterwards, whatever happens.

    Raises BadRequest (no or damaged form), BadAudio (empty file), AudioTooLong (too many bytes), IdleTimeout (slow),
    Overloaded (no room for it).
    """
    admission, kept_bytes = request.app[ADMISSION], 0
    limits = FormLimits(settings.max_upload_bytes, settings.max_field_bytes)
    with tempfile.TemporaryFile(prefix="tritone-") as file:
        upload = Upload(file)
        form = Form(request.headers.get(hdrs.CONTENT_TYPE, ""), upload, limits)
        most_bytes = limits.file_bytes + _FORM_OVERHEAD_BYTES + limits.field_bytes
        if (request.content_length or 0) > most_bytes:
            raise too_large(limits)
        pace = Pace(request, settings)
        try:
            while data := await pace.within(request.content.readany()):
                # What follows the last part has no limit of its own.
                if request.content.total_bytes > most_bytes:
                    raise too_large(limits)
                admission.keep(len(data))
                kept_bytes += len(data)
                form.write(data)
            form.finish()
            _check_file(upload)
            file.seek(0)
            yield upload
        except (BadHttpMessage, web.RequestPayloadError) as error:
            raise BadRequest("The body is damaged.", code="invalid_form") from error
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            raise admission.overloaded("its disk has no room for uploads") from error
        finally:
            admission.drop(kept_bytes)


def _check_file(upload: Upload) -> None:
    if upload.file_bytes is None:
        raise BadRequest("The form has no file.", code="missing_required_parameter", param=FILE_FIELD)
    if not upload.file_bytes:
        raise BadAudio("The file is empty.", param=FILE_FIELD)


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
