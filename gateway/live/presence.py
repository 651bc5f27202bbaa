"""Who a live session is, and whether it is being served."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.core.admission import Permit

# Longer than a speaker's pause, shorter than what a long file should wait for nobody.
UNSERVED_AFTER_S: Final = 10.0


class Attendance:
    """Long files make room for a session that is being served, and not for one that is merely open.

    It begins with audio, and is over when none came for UNSERVED_AFTER_S and nothing is owed.
    """

    def __init__(self, attend: Callable[[], Permit]) -> None:
        self._attend = attend
        self._permit: Permit | None = None
        self._served_at_s = 0.0

    def heard(self, now_s: float) -> None:
        """Audio came."""
        self._served_at_s = now_s
        if self._permit is None:
            self._permit = self._attend()

    def look(self, now_s: float, *, owes: bool) -> None:
        """Looks at the time; `owes` is whether something is open or has no answer yet."""
        if owes:
            self._served_at_s = now_s
        elif now_s - self._served_at_s >= UNSERVED_AFTER_S:
            self.end()

    def end(self) -> None:
        """It is not served any more; a second call does nothing."""
        if self._permit is not None:
            self._permit.release()
            self._permit = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a session is: its name, its door, its place among all sessions, and the secret to come back with."""

    id: str
    door: str
    seat: Permit
    attendance: Attendance
    resume_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    opened_at_s: float = field(default_factory=time.monotonic)
