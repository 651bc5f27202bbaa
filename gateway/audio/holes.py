"""Finds the holes in a file's sound: it may begin late, and stop for a while, as its time stamps tell."""

from typing import Final

# What a damaged time stamp may add.
MAX_HOLE_S: Final = 3_600.0
# Packets that were held back and come at once are stamped late, and then early.
MAX_BACK_S: Final = 3.0
# Time stamps are rounded, encoders count their delay in or not, and clocks drift.
MIN_HOLE_S: Final = 0.2


class Holes:
    """Compares the time stamps of one stream with the sound that came before them."""

    def __init__(self, start_s: float) -> None:
        """`start_s` is where the file begins, whatever its streams do."""
        self._due_s = start_s

    def before(self, at_s: float | None, duration_s: float) -> float:
        """How many seconds of silence belong before a frame of `duration_s` with the time stamp `at_s`.

        One that goes back by more than MAX_BACK_S, or too far on, is where the file's clock was set anew.
        """
        hole_s = 0.0 if at_s is None else at_s - self._due_s
        if at_s is not None and not -MAX_BACK_S < hole_s <= MAX_HOLE_S:
            self._due_s, hole_s = at_s, 0.0
        if hole_s < MIN_HOLE_S:
            hole_s = 0.0
        self._due_s += hole_s + duration_s
        return hole_s
