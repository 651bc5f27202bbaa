"""Which of several Tritons gets the next utterance: the least busy, of equals the one whose turn is longest ago."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar


@dataclass(slots=True)
class Load:
    """What one of them has in flight, and when it last had its turn."""

    in_flight: int = 0
    last_turn: int = 0


class Loaded(Protocol):
    """What has a load."""

    load: Load


L = TypeVar("L", bound=Loaded)


class Balance:
    """Gives out turns. A slow one is given less by itself: what it has stays longer."""

    def __init__(self) -> None:
        self._turns = 0

    def take(self, candidates: Iterable[L]) -> L:
        """The one of `candidates`, of whom there are some, that gets the next; `give_back` follows."""
        chosen = min(candidates, key=lambda one: (one.load.in_flight, one.load.last_turn))
        self._turns += 1
        chosen.load.in_flight += 1
        chosen.load.last_turn = self._turns
        return chosen

    def give_back(self, one: Loaded) -> None:
        """What it was given is over."""
        one.load.in_flight -= 1
