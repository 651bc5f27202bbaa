"""What every request that needs the model passes before its body is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.api.keys import ADMISSION, DRAINING, FLEET
from gateway.core.admission import Admission
from gateway.core.errors import ShuttingDown


class Entrance:
    """A place for an upload, and then one among the requests inside."""

    def __init__(self, admission: Admission) -> None:
        """Raises Overloaded."""
        self._admission = admission
        self._place = admission.arrive()

    def uploaded(self) -> None:
        """The upload is complete. Raises Overloaded when there is no room inside."""
        inside = self._admission.enter()
        self._place.release()
        self._place = inside

    def leave(self) -> None:
        """Gives the place back."""
        self._place.release()


@contextmanager
def entered(app: web.Application) -> Iterator[Entrance]:
    """Holds a place. Raises ShuttingDown, Overloaded, ModelUnavailable."""
    if app[DRAINING].is_set():
        raise ShuttingDown("The service is stopping.")
    entrance = Entrance(app[ADMISSION])
    try:
        app[FLEET].require_any()
        yield entrance
    finally:
        entrance.leave()
