"""What every request that needs the model passes before its body is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.api.keys import ADMISSION, DRAINING, WATCH
from gateway.core.errors import ModelUnavailable, ShuttingDown


@contextmanager
def entered(app: web.Application) -> Iterator[None]:
    """Holds a place inside. Raises ShuttingDown, Overloaded, ModelUnavailable."""
    if app[DRAINING].is_set():
        raise ShuttingDown("The service is stopping.")
    with app[ADMISSION].enter():
        if app[WATCH].problem:
            raise ModelUnavailable("The model can't be reached at the moment.")
        yield
