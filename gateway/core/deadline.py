"""One absolute point in time from the door to the model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """`expires_at_s` is on the clock the caller reads `now_s` from; nothing here reads a clock."""

    expires_at_s: float

    @classmethod
    def after(cls, budget_s: float, *, now_s: float) -> "Deadline":
        """The deadline `budget_s` seconds from now."""
        return cls(now_s + budget_s)

    def remaining_s(self, now_s: float) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.expires_at_s - now_s)

    def passed(self, now_s: float) -> bool:
        """Whether no time is left."""
        return now_s >= self.expires_at_s

    def earlier(self, other: "Deadline") -> "Deadline":
        """The tighter of two deadlines."""
        return self if self.expires_at_s <= other.expires_at_s else other
