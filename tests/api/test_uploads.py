import asyncio
import errno
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.api.keys import ADMISSION
from gateway.api.multipart import Form, FormLimits, Upload
from tests.serving import Gateway, Start, eventually, form, post, wav

BOUNDARY = "sep"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, value: bytes, extra: str = "") -> bytes:
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n{extra}\r\n'.encode(errors="surrogateescape")
        + value
        + b"\r\n"
    )


END = f"--{BOUNDARY}--\r\n".encode()


def open_files() -> set[str]:
    """What is open and has no name any more, as an upload has none."""
    links = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.add(str(entry.readlink()))
    return {link for link in links if link.endswith("(deleted)")}


@pytest.fixture(autouse=True)
def before() -> Iterator[set[str]]:
    opened = open_files()
    yield opened
    assert open_files() <= opened


async def test_fields_may_come_after_the_file(gateway: Gateway) -> None:
    body = part("file", wav(0.5)) + part("model", b"whisper-1") + part("response_format", b"text") + END
    reply, text = await post(gateway, body, headers=MULTIPART)
    assert (reply.status, text) == (200, "piece 0\n")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_form", None),
        (b"no boundary here", "invalid_form", None),
        (END, "missing_required_parameter", "file"),
        (part("model", b"whisper-1") + END, "missing_required_parameter", "file"),
        (part("file", b"x" * 5000), "invalid_form", None),
        (part("file", b"x") + part("file", b"y") + END, "invalid_form", "file"),
        (part("file", b"eA==", "Content-Transfer-Encoding: base64\r\n") + END, "invalid_form", None),
        (part("file", b"x", "Content-Type: multipart/mixed; boundary=b\r\n") + END, "invalid_form", None),
        (part("", b"x") + END, "invalid_form", None),
        (part("prompt", b"\xff\xfe") + END, "invalid_parameter", "prompt"),
        (part("prompt", b"x" * 20_000) + END, "field_too_large", "prompt"),
        (part("prompt", b"x") * 257 + END, "invalid_form", None),
        (b"--sep\r\n" + b"x" * 20_000, "invalid_form", None),
        (part("\udcff", b"x") + part("file", b"x") + END, "unknown_parameter", "?"),
        (b"--sep\r\nContent-Disposition: no/name; name=a\r\n\r\nx\r\n" + END, "invalid_form", None),
        (b"--sep\r\nContent-Disposition: form-data; a b\r\n\r\nx\r\n" + END, "invalid_form", None),
        (b"--sep\r\nbad header\r\n\r\nx\r\n" + END, "invalid_form", None),
    ],
)
async def test_damaged_forms_are_the_clients_fault(gateway: Gateway, body: bytes, code: str, param: str | None) -> None:
    reply, answer = await post(gateway, body, headers=MULTIPART)
    assert (reply.status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param)


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary=" + "b" * 80]
)
async def test_only_a_form_with_a_boundary_is_taken(gateway: Gateway, content_type: str) -> None:
    reply, answer = await post(gateway, b"{}", headers={"Content-Type": content_type})
    assert (reply.status, answer["error"]["code"]) == (400, "invalid_form")


async def test_a_declared_size_over_the_limit_is_refused_unread(start: Start) -> None:
    async with start(max_upload_bytes=1000) as gateway:
        reply, answer = await post(gateway, form(b"x" * 200_000))
        assert (reply.status, answer["error"]["code"], answer["error"]["param"]) == (413, "file_too_large", "file")


async def test_uploads_together_have_so_much_room(start: Start) -> None:
    async with start(max_uploads_mib=1) as gateway:
        reply, body = await post(gateway, form(wav(60.0)))
        assert (reply.status, body["error"]["code"]) == (503, "overloaded")
        assert reply.headers["Retry-After"]
        assert (await post(gateway, form(wav(0.5))))[0].status == 200
        assert gateway.app[ADMISSION].upload_bytes == 0


async def test_one_caller_has_so_many_requests(start: Start) -> None:
    async with start(max_requests_per_key=1) as gateway:
        gateway.backend.gate.clear()
        asking = asyncio.create_task(post(gateway, form(wav(0.5))))
        await gateway.backend.requests_are(1)
        reply, body = await post(gateway, form(wav(0.5)))
        assert (reply.status, body["error"]["code"]) == (429, "quota_exceeded")
        assert reply.headers["Retry-After"]
        other = asyncio.create_task(post(gateway, form(wav(0.5)), headers={"Authorization": "Bearer other"}))
        await gateway.backend.requests_are(2)
        gateway.backend.gate.set()
        assert [reply.status for reply, _ in await asyncio.gather(asking, other)] == [200, 200]


async def test_a_full_disk_is_no_bug(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Form, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Form, "write", write)
    reply, body = await post(gateway, form(wav(0.5)))
    assert (reply.status, body["error"]["code"]) == (503, "overloaded")


async def test_an_undeclared_size_is_counted(start: Start) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield part("file", b"x" * 2000) + END

    async with start(max_upload_bytes=1000) as gateway:
        reply, answer = await post(gateway, body(), headers=MULTIPART)
        assert (reply.status, answer["error"]["code"]) == (413, "file_too_large")


async def test_what_follows_the_form_is_counted(start: Start) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield part("file", b"x") + END
        while True:
            yield bytes(10_000)

    async with start(max_upload_bytes=1000) as gateway:
        reply, answer = await post(gateway, body(), headers=MULTIPART)
        assert (reply.status, answer["error"]["code"]) == (413, "file_too_large")


def test_a_form_may_come_in_any_pieces() -> None:
    body = part("model", b"whisper-1") + part("file", b"\r\n--se\r\n--seq") + END
    for size in range(1, len(body) + 1):
        upload = Upload(io.BytesIO())
        taken = Form(MULTIPART["Content-Type"], upload, FormLimits(1000, 1000))
        for first in range(0, len(body), size):
            taken.write(body[first : first + size])
        taken.finish()
        assert upload.fields == [("model", "whisper-1")]
        assert upload.file.getvalue() == b"\r\n--se\r\n--seq"  # type: ignore[attr-defined]  # it is a BytesIO


async def test_an_upload_that_stalls_is_ended(start: Start) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield part("file", b"x" * 2000)
        await asyncio.Event().wait()

    async with start(upload_idle_s=0.1) as gateway:
        reply, answer = await post(gateway, body(), headers=MULTIPART)
        assert (reply.status, answer["error"]["code"]) == (408, "idle_timeout")
        assert reply.headers["x-should-retry"] == "false"
        assert gateway.app[ADMISSION].requests == 0


async def test_an_upload_that_trickles_is_ended(start: Start) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield part("file", b"x" * 100)
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    async with start(upload_idle_s=0.2, upload_min_rate_bytes_per_s=100_000) as gateway:
        reply, answer = await post(gateway, body(), headers=MULTIPART)
        assert (reply.status, answer["error"]["code"]) == (408, "idle_timeout")


async def test_slow_uploads_keep_nobody_out(start: Start) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield part("file", b"x" * 100)
        await asyncio.Event().wait()

    async with start(max_requests=1, max_uploads=3) as gateway:
        slow = [asyncio.create_task(post(gateway, body(), headers=MULTIPART)) for _ in range(2)]
        await eventually(lambda: gateway.app[ADMISSION].uploads == 2)
        reply, _ = await post(gateway, form(wav(0.5)))
        assert reply.status == 200
        slow.append(asyncio.create_task(post(gateway, body(), headers=MULTIPART)))
        await eventually(lambda: gateway.app[ADMISSION].uploads == 3)
        reply, answer = await post(gateway, form(wav(0.5)))
        assert (reply.status, answer["error"]["code"]) == (503, "overloaded")
        for task in slow:
            task.cancel()
        await eventually(lambda: gateway.app[ADMISSION].uploads == 0)


def client_left(caplog: pytest.LogCaptureFixture) -> bool:
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    return any(field.get("status") == 499 and field["code"] == "client_left" for field in fields)


async def test_a_client_that_hangs_up_leaves_a_log_line_and_nothing_else(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, before: set[str]
) -> None:
    caplog.set_level("INFO")
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
    writer.write(f"{head}Content-Type: {MULTIPART['Content-Type']}\r\n\r\n".encode() + part("file", b"x" * 3000))
    await writer.drain()
    await eventually(lambda: not open_files() <= before)
    writer.close()
    await eventually(lambda: client_left(caplog))
    assert gateway.app[ADMISSION].requests == 0


async def test_work_ends_with_a_client_that_leaves_while_waiting(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    gateway.backend.gate.clear()
    waiting = asyncio.create_task(post(gateway, form(wav(5.0), language="en")))
    await gateway.backend.requests_are(2)
    waiting.cancel()
    await eventually(lambda: client_left(caplog))
    assert gateway.backend.in_flight == 0
    assert gateway.backend.cancelled == len(gateway.backend.requests)
    assert gateway.app[ADMISSION].in_flight == 0
