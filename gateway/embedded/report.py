"""How setting up speaks to the person at the terminal: lines of progress, and one line when it can't go on."""

from collections.abc import Callable
from typing import TypeAlias

Say: TypeAlias = Callable[[str], None]


class SetupError(Exception):
    """Why Tritone can't start, in one line that says what to do about it. `details` are log lines worth showing."""

    def __init__(self, message: str, *, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.details = details
