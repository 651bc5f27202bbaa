"""What every request that needs the model passes before its body is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.api.callers import caller_of
from gateway.api.keys import ADMISSION, DRAINING, FLEET
from gateway.core.admission import Admission
from gateway.core.errors import QuotaExceeded, ShuttingDown


class Entrance:
    """A place for an upload, and then one among the requests inside."""

    def __init__(self, admission: Admission, caller: str) -> None:
        """Raises Overloaded, QuotaExceeded."""
        self._admission = admission
        self._place = admission.arrive()
        try:
            self._claim = admission.claim(caller)
        except QuotaExceeded:
            self._place.release()
            raise

    def uploaded(self) -> None:
        """The upload is complete. Raises Overloaded when there is no room inside."""
        inside = self._admission.enter()
        self._place.release()
        self._place = inside

    def leave(self) -> None:
        """Gives the place back."""
        self._place.release()
        self._claim.release()


@contextmanager
def entered(request: web.Request) -> Iterator[Entrance]:
    """Holds a place. Raises ShuttingDown, Overloaded, QuotaExceeded, ModelUnavailable."""
    app = request.app
    if app[DRAINING].is_set():
        raise ShuttingDown("The service is stopping.")
    entrance = Entrance(app[ADMISSION], caller_of(request))
    try:
        app[FLEET].require_any()
        yield entrance
    finally:
        entrance.leave()
