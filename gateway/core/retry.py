"""Whether an utterance is worth a second try, and how many second tries there may be altogether."""

from gateway.core.deadline import Deadline
from gateway.core.errors import ModelUnavailable, TritoneError


class RetryBudget:
    """Second tries as a share of what was answered, so that they never become the load (as Finagle's RetryBudget).

    The reserve lets a whole batch that died with its process be tried again on a quiet day.
    """

    def __init__(self, *, reserve: int, share: float = 0.1) -> None:
        self._reserve = float(reserve)
        self._share = share
        self.left = float(reserve)

    def answered(self) -> None:
        """An utterance was answered: that much more may be tried again, up to the reserve."""
        self.left = min(self._reserve, self.left + self._share)

    def allows(self, error: TritoneError, deadline: Deadline, *, now_s: float) -> bool:
        """Takes one second try if `error` left the utterance undecided, there is time, and the budget has one left.

        A full queue is not tried again: that would be load on top of overload.
        """
        if not isinstance(error, ModelUnavailable) or deadline.passed(now_s) or self.left < 1:
            return False
        self.left -= 1
        return True
