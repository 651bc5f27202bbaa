"""Real processes: an instance of a model and what may take its place."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

import place

WITHIN_S = 30.0
PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(place.__file__).parent)!r})
from place import Place
mine = Place(sys.argv[1], float(sys.argv[2]))
for asked in sys.stdin:
    if asked == "asked\\n":
        mine.asked()
    print(mine.is_taken(), flush=True)
"""


class Instance:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def is_taken(self, *, asked: bool = False) -> bool:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("asked\n" if asked else "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "True\n"

    def finds_out(self) -> None:
        ends_at_s = time.monotonic() + WITHIN_S
        while not self.is_taken():
            assert time.monotonic() < ends_at_s


class Start(Protocol):
    def __call__(self, name: str, *, retired_after_s: float = 0.2) -> Instance: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    program = tmp_path / "model.py"
    program.write_text(PROGRAM)
    with ExitStack() as ends:

        def started(name: str, *, retired_after_s: float = 0.2) -> Instance:
            process = subprocess.Popen(
                [sys.executable, program, name, str(retired_after_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ends.enter_context(process)
            ends.callback(process.kill)
            instance = Instance(process)
            assert not instance.is_taken()
            return instance

        yield started


def test_the_place_of_the_older_one_is_taken(start: Start) -> None:
    old, other = start("tiny.en_0_0"), start("tiny.en_0_1")
    new = start("tiny.en_0_0")
    old.finds_out()
    assert not new.is_taken()
    assert not other.is_taken()


def test_who_is_asked_keeps_it(start: Start) -> None:
    old, watching = start("tiny.en_0_0"), start("tiny.en_0_0")
    start("tiny.en_0_0")
    watching.finds_out()
    assert not old.is_taken(asked=True)
    old.finds_out()


def test_a_successor_that_may_still_be_loading_takes_nothing(start: Start) -> None:
    patient, quick = start("tiny.en_0_0", retired_after_s=60), start("tiny.en_0_0")
    start("tiny.en_0_0")
    quick.finds_out()
    assert not patient.is_taken()


def test_a_successor_that_is_gone_takes_nothing(start: Start) -> None:
    old = start("tiny.en_0_0")
    new = start("tiny.en_0_0")
    old.finds_out()
    new._process.kill()
    new._process.wait()
    assert not old.is_taken()
