"""Locust's entry: `make load SHAPE=spike HOST=http://127.0.0.1:8080`, with its page in a browser or without.

Every user checks the words it is told. What the service refuses for want of room (503, 429) counts as shed.
"""

from argparse import ArgumentParser
from pathlib import Path

import gevent
from locust import LoadTestShape, User, events
from locust.env import Environment

from loadtests.crowd.disturbances import DISTURBANCES, Target
from loadtests.crowd.outcomes import judged, keep_ledger, measured
from loadtests.crowd.rude import Abandoner, Churner, Deaf, Hasty, Resumer, Senseless, Silent, SlowUploader
from loadtests.crowd.speech import long_clip, long_file, short_files
from loadtests.crowd.users import LongFile, RealtimeTalker, ShortFile, StreamTalker
from loadtests.shapes import SHAPES, Shape

# One crowd: as many of each as its weight says.
CROWD: tuple[type[User], ...] = (
    *(StreamTalker, RealtimeTalker, ShortFile, LongFile),
    *(Hasty, Resumer, Abandoner, Silent, Deaf, Senseless, SlowUploader, Churner),
)


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    """What `make load` passes on."""
    parser.add_argument("--shape", choices=sorted(SHAPES), default="steady", help="how many users when")
    parser.add_argument("--duration-s", type=float, default=120.0, help="how long the whole shape takes")
    parser.add_argument("--served-model", default="whisper-1", help="the model that disturbances recycle")
    parser.add_argument("--api-key", default="", env_var="TRITONE_API_KEY", help="bearer token of every user")
    parser.add_argument("--admin-key", default="", env_var="TRITONE_ADMIN_KEY", help="bearer token of who recycles")
    parser.add_argument("--ledger", default="", help="where every outcome is written, as JSON lines")


@events.init.add_listener
def _prepare(environment: Environment, **_: object) -> None:
    """What costs time is done before the first user comes."""
    options = environment.parsed_options
    if options and options.ledger:
        keep_ledger(Path(options.ledger))
    for made in (short_files, long_file, long_clip):
        made()


@events.test_start.add_listener
def _disturb(environment: Environment, **_: object) -> None:
    """Breaks what the shape says, when it says so."""
    options = environment.parsed_options
    assert options is not None
    for fraction, name in SHAPES[options.shape].disturbances:
        gevent.spawn_later(fraction * options.duration_s, _break, environment, name)


class ShapedLoad(LoadTestShape):
    """The users of the chosen shape."""

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """How many users there are now, how fast they come, and of which classes."""
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        shape: Shape = SHAPES[options.shape]
        stage = shape.stage_at(self.get_run_time() / options.duration_s)  # type: ignore[no-untyped-call]  # Locust's
        if stage is None:
            return None
        classes: list[type[User]] = [kind for kind in CROWD if stage.only in (None, kind.__name__)]
        users = max(1, round(stage.crowds * sum(kind.weight for kind in classes)))
        return users, max(1.0, users / 3), classes


def _break(environment: Environment, name: str) -> None:
    options = environment.parsed_options
    assert options is not None
    with judged(environment, "disturbance", name):
        DISTURBANCES[name](Target(environment.host or "", options.served_model, options.admin_key))
        measured(environment, "disturbance", name, 0.0)
