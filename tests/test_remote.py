import asyncio
import socket
from collections.abc import Callable

import pytest
from aiohttp import web

from gateway.__main__ import main
from tests.serving import Gateway, Start

KEY = "correct horse"


async def tritone(gateway: Gateway, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["models", *arguments, "--port", str(gateway.port)])


async def test_models_are_listed_and_changed(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await tritone(gateway, "list") == 0
    assert capsys.readouterr().out.split() == ["base", "ready", "whisper-1", "ready"]
    for action, state in (("unload", "unavailable"), ("load", "ready"), ("reload", "ready"), ("status", "ready")):
        assert await tritone(gateway, action, "base") == 0
        out = capsys.readouterr().out.split()
        assert out[:4] == ["id", "base", "state", state]
    assert gateway.backend.orders == [("unload", "base"), ("load", "base"), ("replace", "base")]


async def test_what_is_refused_is_one_line(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await tritone(gateway, "load", "a/b?c") == 1
    assert capsys.readouterr().err == "tritone: There is no such model.\n"
    assert await tritone(gateway, "load") == 2
    assert capsys.readouterr().err == "tritone: models load needs a MODEL\n"


async def test_the_key_is_sent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start(admin_key=KEY) as gateway:
        assert await tritone(gateway, "status", "base") == 1
        monkeypatch.setenv("TRITONE_ADMIN_KEY", KEY)
        assert await tritone(gateway, "status", "base") == 0


def test_a_gateway_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = str(bound.getsockname()[1])
        assert main(["models", "list", "--port", port]) == 1
    assert capsys.readouterr().err.startswith(f"tritone: http://127.0.0.1:{port} does not answer: ")


async def test_what_is_no_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>")

    app = web.Application()
    app.router.add_get("/v1/models", page)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    port = str(listener.getsockname()[1])
    run: Callable[[list[str]], int] = main
    assert await asyncio.to_thread(run, ["models", "list", "--port", port]) == 1
    assert capsys.readouterr().err == "tritone: the gateway answered 404\n"
    await runner.cleanup()
