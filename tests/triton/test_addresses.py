import asyncio
import socket
from typing import Any

import pytest

from gateway.settings import listed
from gateway.triton.addresses import Directory, Place

NAMES = {
    "many": ["10.0.0.2", "10.0.0.1"],
    "six": ["fd00::2", "fd00::1"],
    "both": ["fd00::1", "10.0.0.1"],
    "one": ["10.0.0.9"],
    "127.0.0.1": ["127.0.0.1"],
}


@pytest.fixture(autouse=True)
async def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which addresses a name has is the one thing that no machine of ours can be made to say."""

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        families = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in NAMES[host]]
        # A resolver may name an address twice.
        return [(family, socket.SOCK_STREAM, 0, "", (ip, port)) for family, ip in families * 2]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)


@pytest.mark.parametrize(
    ("triton", "metrics", "found"),
    [
        ("127.0.0.1:8001", "", [Place("127.0.0.1:8001")]),
        ("one:8001", "one:8002", [Place("one:8001", "one:8002")]),
        ("gone:8001", "", [Place("gone:8001")]),
        ("one:1, gone:2,one:1", "", [Place("one:1"), Place("gone:2")]),
        ("one:1,gone:2", "a:8002,b:8002", [Place("one:1", "a:8002"), Place("gone:2", "b:8002")]),
        ("many:1", "many:2", [Place("10.0.0.1:1", "10.0.0.1:2"), Place("10.0.0.2:1", "10.0.0.2:2")]),
        ("six:1", "", [Place("[fd00::1]:1"), Place("[fd00::2]:1")]),
        # A Triton that has an address of each family is one Triton.
        ("both:1", "", [Place("both:1")]),
    ],
)
async def test_a_name_is_all_its_addresses(triton: str, metrics: str, found: list[Place]) -> None:
    assert list(await Directory(triton, metrics).places()) == found


async def test_what_a_name_stood_for_is_remembered_while_it_cannot_be_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = Directory("many:1", "")
    before = await directory.places()
    monkeypatch.delitem(NAMES, "many")
    assert await directory.places() == before


def test_a_list_is_divided_by_commas() -> None:
    assert listed(" a:1, b:2 ,,a:1") == ("a:1", "b:2")
