"""What every request that needs the model passes before its body is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.api.callers import caller_of
from gateway.api.keys import ADMISSION, DRAINING, FLEET
from gateway.core.admission import Admission
from gateway.core.errors import BadRequest, QuotaExceeded, ShuttingDown
from gateway.core.wire.fields import MAX_NAME_CHARS


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
    """Holds a place. Raises BadRequest, ShuttingDown, Overloaded, QuotaExceeded, ModelUnavailable."""
    refuse_query(request)
    app = request.app
    if app[DRAINING].is_set():
        raise ShuttingDown("The service is stopping.")
    entrance = Entrance(app[ADMISSION], caller_of(request))
    try:
        app[FLEET].require_any()
        yield entrance
    finally:
        entrance.leave()


def refuse_query(request: web.Request) -> None:
    """What is asked for stands in the body. Raises BadRequest for what is in the address, which would be ignored."""
    if request.query:
        param = next(iter(request.query))[:MAX_NAME_CHARS]
        raise BadRequest("Parameters of this route belong in the body.", code="unknown_parameter", param=param)
