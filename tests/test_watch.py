import asyncio
import socket

from gateway.remote import Gateway as Remote
from gateway.watch import Row, Table, rows
from tests.serving import Gateway

READY: Row = ("base", "ready", "0 s ago", "266 MiB", "")
GONE: Row = ("base", "unavailable", "-", "-", "it died")


async def test_a_row_tells_how_a_model_is(gateway: Gateway) -> None:
    remote = Remote("127.0.0.1", gateway.port, "")
    found = await asyncio.to_thread(rows, remote)
    assert [row[:2] for row in found] == [("base", "ready"), ("whisper-1", "ready")]
    await asyncio.to_thread(remote.model, "unload", "base")
    assert (await asyncio.to_thread(rows, remote))[0][:2] == ("base", "unavailable")


async def test_a_gateway_that_is_away_is_a_row() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        (row,) = await asyncio.to_thread(rows, Remote("127.0.0.1", bound.getsockname()[1], ""))
    assert row[:2] == ("-", "away")
    assert "does not answer" in row[-1]


def test_on_a_terminal_the_table_is_drawn_over_itself() -> None:
    table = Table(on_terminal=True)
    first, second = table.drawn([READY, GONE]), table.drawn([GONE])
    assert first.count("\n") == 3
    assert second.startswith("\x1b[3A\r\x1b[J")
    assert table.drawn([READY]).startswith("\x1b[2A\r\x1b[J")


def test_elsewhere_only_changes_are_told() -> None:
    table = Table(on_terminal=False)
    assert table.drawn([READY]).split()[1:3] == ["base", "ready"]
    assert table.drawn([READY]) == ""
    assert table.drawn([GONE]).split()[1:] == ["base", "unavailable", "-", "-", "it", "died"]
