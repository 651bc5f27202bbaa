"""Which of several Tritons gets the next utterance: the least busy, of equals the one whose turn is longest ago."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

# At the most a failure counts as 31 utterances, and as less than one after 50 s.
MAX_FAILURES: Final = 5
HALF_LIFE_S: Final = 10.0


@dataclass(slots=True)
class Load:
    """What one of them has in flight, when it last had its turn, and its failures since it last served anything."""

    in_flight: int = 0
    last_turn: int = 0
    failures: int = 0
    failed_at_s: float = 0.0


class Loaded(Protocol):
    """What has a load."""

    load: Load


L = TypeVar("L", bound=Loaded)


class Balance:
    """Gives out turns. `now_s` is any clock that does not go back, always the same.

    A slow one is given less by itself: what it has stays longer. One that fails at once would be given the most, so its
    failures count as utterances that it has in flight: twice as many with each, and half as many after each
    HALF_LIFE_S.
    """

    def __init__(self) -> None:
        self._turns = 0

    def take(self, candidates: Iterable[L], *, now_s: float) -> L:
        """The one of `candidates`, of whom there are some, that gets the next; `give_back` follows."""
        chosen = min(candidates, key=lambda one: (_weight(one.load, now_s), one.load.last_turn))
        self._turns += 1
        chosen.load.in_flight += 1
        chosen.load.last_turn = self._turns
        return chosen

    def give_back(self, one: Loaded, *, served: bool | None, now_s: float) -> None:
        """What it was given is over: served, failed by it, or (None) ended for another reason."""
        one.load.in_flight -= 1
        if served:
            one.load.failures = 0
        elif served is False:
            one.load.failures = min(MAX_FAILURES, one.load.failures + 1)
            one.load.failed_at_s = now_s


def _weight(load: Load, now_s: float) -> float:
    half_lives = (now_s - load.failed_at_s) / HALF_LIFE_S
    penalty: float = (2**load.failures - 1) * 0.5**half_lives
    return load.in_flight + penalty
