"""When a client that sends faster than it is served has to slow down, stop, and go on: marks with hysteresis."""

from enum import Enum, auto

from gateway.core.live.effects import PressureAction

# Shares of the limit. Between pause and the limit there is room for what was on its way when the client was told;
# between slow-down and resume, the longest usual utterance.
SLOW_DOWN_SHARE = 0.7
PAUSE_SHARE = 0.9
RESUME_SHARE = 0.4


class _Level(Enum):
    FREE = auto()
    SLOW = auto()
    PAUSED = auto()


class Pressure:
    """Follows how much is held; each action comes once for each time its mark is crossed."""

    def __init__(self, limit_samples: int) -> None:
        self._slow_down = int(limit_samples * SLOW_DOWN_SHARE)
        self._pause = int(limit_samples * PAUSE_SHARE)
        self._resume = int(limit_samples * RESUME_SHARE)
        self._level = _Level.FREE

    @property
    def paused(self) -> bool:
        """Whether nothing should be read."""
        return self._level is _Level.PAUSED

    def update(self, held_samples: int, *, waits_for_model: bool) -> PressureAction | None:
        """What to tell the client now, if anything.

        Only what waits for the model can press: an open utterance is ended by nothing but more audio.
        """
        if not waits_for_model or held_samples <= self._resume:
            resumes = self._level is not _Level.FREE
            self._level = _Level.FREE
            return PressureAction.RESUME if resumes else None
        if held_samples >= self._pause and self._level is not _Level.PAUSED:
            self._level = _Level.PAUSED
            return PressureAction.PAUSE
        if held_samples >= self._slow_down and self._level is _Level.FREE:
            self._level = _Level.SLOW
            return PressureAction.SLOW_DOWN
        return None
