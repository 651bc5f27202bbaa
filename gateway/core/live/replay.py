"""Keeps the last outcomes of a session for a client whose connection broke."""

from collections import deque

from gateway.core.errors import BadRequest
from gateway.core.live.effects import Outcome


class ReplayLog:
    """The newest `max_outcomes`, in the order in which they were told, which is that of their utterances."""

    def __init__(self, max_outcomes: int) -> None:
        self._kept: deque[Outcome] = deque(maxlen=max_outcomes)
        self._told = 0

    def add(self, outcome: Outcome) -> None:
        """Keeps `outcome`; the oldest makes room."""
        self._kept.append(outcome)
        self._told += 1

    def missed(self, last_utterance: int | None) -> tuple[Outcome, ...]:
        """What came after `last_utterance`, the last one the client has; None if it has none.

        Raises BadRequest where that was never told, or where something in between is no longer kept.
        """
        missing = self._told - (0 if last_utterance is None else last_utterance + 1)
        if not 0 <= missing <= self._told:
            raise _refused("The session never told of this utterance.", "invalid_parameter")
        if missing > len(self._kept):
            raise _refused("What came after this utterance is no longer kept.", "replay_expired")
        return tuple(self._kept)[len(self._kept) - missing :]


def _refused(message: str, code: str) -> BadRequest:
    return BadRequest(message, code=code, param="last_utterance")
