"""What every request that needs the model passes before its body is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.api.keys import ADMISSION, DRAINING, FLEET
from gateway.core.admission import Permit
from gateway.core.errors import ShuttingDown


@contextmanager
def entered(app: web.Application) -> Iterator[Permit]:
    """Holds a place for an upload; then see `inside`. Raises ShuttingDown, Overloaded, ModelUnavailable."""
    if app[DRAINING].is_set():
        raise ShuttingDown("The service is stopping.")
    with app[ADMISSION].arrive() as arrival:
        app[FLEET].require_any()
        yield arrival


@contextmanager
def inside(app: web.Application, arrival: Permit) -> Iterator[None]:
    """Holds a place for a request whose upload is complete, in exchange for that. Raises Overloaded."""
    with app[ADMISSION].enter():
        arrival.release()
        yield
