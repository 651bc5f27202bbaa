"""The service as a client sees it: its address, the key, and its refusals in one line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp

from gateway.remote import RefusedError

CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where it is, and the key to it if it needs one."""

    url: str
    api_key: str

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiohttp.ClientSession]:
        """What requests go through. Raises RefusedError for a service that does not answer."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
                yield http
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RefusedError(f"{self.url} does not answer: {error or type(error).__name__}") from None


def refusal(status: int, retry_after: str | None, message: str = "") -> RefusedError:
    """A status with what to do about it, or with the service's own `message`."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return RefusedError(f"{message or 'the service wants another key'} (--api-key or TRITONE_API_KEY)")
    again = f"; try again in {retry_after} s" if retry_after else ""
    # What stands between may answer by a number of its own.
    phrase = f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
    return RefusedError(f"{message or f'the service answered {status}{phrase}'}{again}")
