"""Damaged requests to the doors: no answer is a 5xx, and nothing is left behind."""

import asyncio
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.keys import ADMISSION
from tests.live.talking import BY_LENGTH, nothing_is_left
from tests.malformed import cases
from tests.malformed.asking import answer
from tests.serving import Start

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
PATHS = ("/v1/models/", "/v1/sessions/", "/docs/", "/v1/stream?", "/v1/realtime?", "/v1/", "/")
HEADERS = ("Authorization", "Origin", "x-request-id", "Sec-WebSocket-Protocol", "Access-Control-Request-Method")


async def test_forms(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start(**BY_LENGTH) as gateway:

        @cases.cases(400)
        @given(form=cases.forms(), door=st.sampled_from(("transcriptions", "translations")))
        def attack(form: tuple[str, bytes], door: str) -> None:
            kind, body = form
            status, said = answer(
                f"127.0.0.1:{gateway.port}", "POST", f"/v1/audio/{door}", body, {"Content-Type": kind}
            )
            assert status < 500, said
            if status != 200:
                assert json.loads(said)["error"]["code"]

        await asyncio.to_thread(attack)
        assert gateway.app[ADMISSION].requests == 0
        await nothing_is_left(gateway)
    assert not any(record.exc_info for record in caplog.records if record.name.startswith("gateway"))


async def test_paths_queries_and_headers(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start(**BY_LENGTH, api_keys="none") as gateway:
        latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)

        @cases.cases(500)
        @given(
            method=st.sampled_from(METHODS),
            path=st.sampled_from(PATHS),
            rest=cases.texts,
            query=cases.queries,
            headers=st.dictionaries(st.sampled_from(HEADERS), latin, max_size=3),
        )
        def attack(method: str, path: str, rest: str, query: dict[str, str], headers: dict[str, str]) -> None:
            def quoted(text: str) -> str:
                return quote(text.encode("utf-8", "surrogatepass"), safe="")

            asked = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in query.items())
            url = path + (asked if path.endswith("?") else quoted(rest))
            status, said = answer(f"127.0.0.1:{gateway.port}", method, url, b"", headers)
            assert status < 500, said

        await asyncio.to_thread(attack)
        await nothing_is_left(gateway)
    assert not any(record.exc_info for record in caplog.records if record.name.startswith("gateway"))
