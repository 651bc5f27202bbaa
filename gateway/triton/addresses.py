"""Where the Tritons are: a list of HOST:PORT, in which a name may stand for many."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from gateway.settings import listed

_LOOK_UP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """One Triton: HOST:PORT of its gRPC, and of its metrics page where that is known."""

    address: str
    metrics_address: str | None = None


class Directory:
    """Looks the entries of a list up, again and again; what a name stood for is remembered while it can't be."""

    def __init__(self, triton: str, metrics: str) -> None:
        """`metrics` is empty or has a page for each entry of `triton`, in the same order."""
        entries = listed(triton)
        self._entries = tuple(zip(entries, listed(metrics) or (None,) * len(entries), strict=True))
        self._known: dict[str, tuple[str, ...]] = {entry: (entry,) for entry in entries}

    async def places(self) -> tuple[Place, ...]:
        """Every Triton there is now, once each.

        A name that stands for several addresses is all of them; one that stands for a single address stays a name,
        which its channel looks up by itself.
        """
        async with asyncio.TaskGroup() as group:
            for entry, _ in self._entries:
                group.create_task(self._look_up(entry))
        found: dict[str, Place] = {}
        for entry, page in self._entries:
            for address in self._known[entry]:
                found[address] = Place(address, _page_of(page, entry, address))
        return tuple(found.values())

    async def _look_up(self, entry: str) -> None:
        host, _, port = entry.rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOOK_UP_TIMEOUT_S):
                answers = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError:
            return
        by_family: dict[int, set[str]] = {socket.AF_INET: set(), socket.AF_INET6: set()}
        for family, _, _, _, address in answers:
            by_family[family].add(str(ipaddress.ip_address(address[0])))
        # Of one family only, or a Triton with an address of each would count twice.
        ips = sorted(by_family[socket.AF_INET] or by_family[socket.AF_INET6])
        several = tuple(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips)
        self._known[entry] = several if len(several) > 1 else (entry,)


def _page_of(page: str | None, entry: str, address: str) -> str | None:
    """The metrics page of the Triton at `address`, one of those that `entry` stands for."""
    if page is None or page.rpartition(":")[0] != entry.rpartition(":")[0]:
        return page
    return f"{address.rpartition(':')[0]}:{page.rpartition(':')[2]}"
