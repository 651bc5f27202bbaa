"""What is no HTTP request, on a real socket: refused in our form, counted, and not logged as a bug."""

import asyncio

import orjson
import pytest

from tests.serving import Gateway, Start, get


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET /livez?" + b"x" * 2100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", "header_too_large"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2100 + b"\r\n\r\n", "header_too_large"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n X\r\n: b\r\n\r\n", "invalid_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "invalid_http"),
        (b"GET /livez HTTP/9\r\n\r\n", "invalid_http"),
    ],
)
async def test_it_is_a_bad_request(start: Start, caplog: pytest.LogCaptureFixture, sent: bytes, code: str) -> None:
    caplog.set_level("INFO")
    async with start(max_header_bytes=2048) as gateway:
        head, body = await answered(gateway, sent)
        assert head.split(b" ")[1] == b"400"
        assert b"application/json" in head
        assert b"x-request-id: req_" in head
        error = orjson.loads(body)["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", code)
        assert b'tritone_errors_total{code="%b"} 1.0' % code.encode() in (await get(gateway, "/metrics"))[1].encode()
    assert [vars(record)["fields"]["code"] for record in caplog.records if record.message == "request"][:1] == [code]
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_just_fits_is_served(start: Start) -> None:
    async with start(max_header_bytes=2048) as gateway:
        assert (await get(gateway, "/livez?" + "x" * 1900))[0].status == 200
        assert (await get(gateway, "/livez", headers={"X": "x" * 1900}))[0].status == 200


async def answered(gateway: Gateway, sent: bytes) -> tuple[bytes, bytes]:
    """The head and the body of what comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body
