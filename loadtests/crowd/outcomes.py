"""How what a user did went: measured, shed or wrong, told to Locust and to whoever keeps a ledger of it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import gevent
from locust import events
from locust.env import Environment

SHED_STATUSES: Final = frozenset({429, 503})
SHED_CODES: Final = frozenset({"overloaded", "model_unavailable", "shutting_down", "quota_exceeded", "audio_budget"})
SHED: Final = "shed"
# Who was refused comes back a little later, whatever was asked of it: the load should go on.
_PAUSE_S: Final = 0.5


class ShedError(Exception):
    """The service said that it has no room now: an answer, and no failure."""


class WrongError(Exception):
    """What was told is not what should have been: wrong words, a wrong status, silence."""


def measured(environment: Environment, kind: str, name: str, took_s: float) -> None:
    """Something succeeded after `took_s`."""
    _fire(environment, kind, name, took_s, None)


@contextmanager
def judged(environment: Environment, kind: str, name: str) -> Iterator[None]:
    """Around one thing that a user does; what it raises is counted as shed or as a failure."""
    started_s = time.monotonic()
    try:
        yield
    except ShedError as shed:
        _fire(environment, SHED, f"{name}: {shed}", time.monotonic() - started_s, None)
        gevent.sleep(_PAUSE_S)
    except Exception as error:  # an answer that can't be read, too: what is not in the ledger is not judged
        _fire(environment, kind, name, time.monotonic() - started_s, error)
        gevent.sleep(_PAUSE_S)


def keep_ledger(path: Path) -> None:
    """Writes a JSON line for every outcome from now on. Nothing of what was said is in it."""
    file = path.open("a", buffering=1)

    def note(
        request_type: str, name: str, response_time: float, exception: BaseException | None = None, **_: object
    ) -> None:
        outcome = "failed" if exception else SHED if request_type == SHED else "ok"
        detail = f"{type(exception).__name__}: {exception}" if exception else ""
        line = {
            "at_s": round(time.time(), 3),
            "kind": request_type,
            "name": name,
            "ms": round(response_time, 1),
            "outcome": outcome,
            "detail": detail,
        }
        file.write(json.dumps(line) + "\n")

    events.request.add_listener(note)


def _fire(environment: Environment, kind: str, name: str, took_s: float, exception: Exception | None) -> None:
    environment.events.request.fire(
        request_type=kind, name=name, response_time=1000 * took_s, response_length=0, exception=exception, context={}
    )
