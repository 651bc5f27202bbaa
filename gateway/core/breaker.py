"""The breaker in front of one model: requests pass while it is closed, and only a canary closes it again."""

from enum import StrEnum


class BreakerState(StrEnum):
    """Closed lets requests through; half open has a canary under way and refuses them as open does."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Open at first, since nothing is known yet. `now_s` is any clock that does not go back, always the same."""

    def __init__(self, reason: str, *, now_s: float) -> None:
        self.state = BreakerState.OPEN
        self.opened_at_s = now_s
        self._reason = reason

    @property
    def reason(self) -> str | None:
        """Why requests are refused; None while it is closed."""
        return None if self.state is BreakerState.CLOSED else self._reason

    def trip(self, reason: str, *, now_s: float) -> bool:
        """Opens it, or ends a half-open one's trial; the last reason is told. Returns whether it was closed."""
        was_closed = self.state is BreakerState.CLOSED
        if was_closed:
            self.opened_at_s = now_s
        self._reason = reason
        self.state = BreakerState.OPEN
        return was_closed

    def probe(self) -> None:
        """A canary sets out. In an open one it is the trial that may close it."""
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN

    def passed(self) -> bool:
        """The canary came back. Returns whether this closed it: one that was tripped meanwhile stays open."""
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.CLOSED
            return True
        return False

    def open_since(self, now_s: float) -> float:
        """Seconds for which requests have been refused; 0 while it is closed."""
        return 0.0 if self.state is BreakerState.CLOSED else max(0.0, now_s - self.opened_at_s)
