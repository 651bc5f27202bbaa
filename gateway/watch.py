"""`tritone models watch`: the models of a running gateway and how they are, again and again."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, TextIO, TypeAlias

from gateway.remote import Gateway, RefusedError

Row: TypeAlias = tuple[str, ...]

INTERVAL_S: Final = 1.0
_HEAD: Final[Row] = ("MODEL", "STATE", "ANSWERED", "MEMORY", "PROBLEM")
_WIDTHS: Final = (24, 12, 10, 10, 0)
_MIB: Final = 1024 * 1024


def watch(gateway: Gateway, out: TextIO) -> int:
    """Until Ctrl-C. On a terminal the table is drawn over itself; elsewhere each change of a state is a line."""
    table = Table(on_terminal=out.isatty())
    try:
        while True:
            out.write(table.drawn(rows(gateway)))
            out.flush()
            time.sleep(INTERVAL_S)
    except KeyboardInterrupt:
        return 0


def rows(gateway: Gateway) -> list[Row]:
    """A row for each model; one that says so where the gateway is away."""
    try:
        models = gateway.models()
    except RefusedError as error:
        return [("-", "away", "-", "-", str(error))]
    return [_row(gateway, model) for model in models]


def _row(gateway: Gateway, model: dict[str, Any]) -> Row:
    try:
        status = gateway.model("status", model["id"])
    except RefusedError as error:
        return (model["id"], model["state"], "-", "-", str(error))
    age_s, size_bytes = status["last_answer_age_s"], status["resident_bytes"]
    answered = "-" if age_s is None else f"{age_s:.0f} s ago"
    memory = f"{size_bytes / _MIB:.0f} MiB" if size_bytes else "-"
    return (model["id"], status["state"], answered, memory, status["problem"] or "")


class Table:
    """What to write so that the newest rows are seen."""

    def __init__(self, *, on_terminal: bool) -> None:
        self._on_terminal = on_terminal
        self._height = 0
        self._states: dict[str, str] = {}

    def drawn(self, rows: Sequence[Row]) -> str:
        """On a terminal all of them, over those before; elsewhere those with a new state."""
        if not self._on_terminal:
            return "".join(self._changes(rows))
        # To the top of the table before, and away with it.
        start = (f"\x1b[{self._height}A" if self._height else "") + "\r\x1b[J"
        self._height = len(rows) + 1
        return start + "".join(_line(row) for row in (_HEAD, *rows))

    def _changes(self, rows: Sequence[Row]) -> Iterator[str]:
        for row in rows:
            if self._states.get(row[0]) != row[1]:
                yield f"{time.strftime('%H:%M:%S')}  {_line(row)}"
        self._states = {row[0]: row[1] for row in rows}


def _line(row: Row) -> str:
    return "".join(cell.ljust(width) + " " for cell, width in zip(row, _WIDTHS, strict=True)).rstrip() + "\n"
