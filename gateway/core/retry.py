"""Whether an utterance is worth a second try, and how many second tries there may be altogether."""

from gateway.core.deadline import Deadline
from gateway.core.errors import ModelUnavailable, TritoneError

# Finagle's RetryBudget: a tenth of what was answered, and a little even where nothing is.
_SHARE = 0.1
_REFILL_S = 30.0


class RetryBudget:
    """A bucket of second tries, so that they never become the load.

    The reserve lets a whole batch that died with its process be tried again. Answers fill it, and so does time: an
    empty one is full again after 30 s. `now_s` is any clock that does not go back, always the same.
    """

    def __init__(self, *, reserve: int, now_s: float) -> None:
        self._reserve = float(reserve)
        self._left = float(reserve)
        self._filled_at_s = now_s

    def answered(self) -> None:
        """An utterance was answered."""
        self._left = min(self._reserve, self._left + _SHARE)

    def allows(self, error: TritoneError, deadline: Deadline, *, now_s: float) -> bool:
        """Takes one second try if `error` left the utterance undecided, there is time, and the bucket has one.

        A full queue is not tried again: that would be load on top of overload.
        """
        refill = (now_s - self._filled_at_s) * self._reserve / _REFILL_S
        self._left, self._filled_at_s = min(self._reserve, self._left + refill), now_s
        if not isinstance(error, ModelUnavailable) or deadline.passed(now_s) or self._left < 1:
            return False
        self._left -= 1
        return True
