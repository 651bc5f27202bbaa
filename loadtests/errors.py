"""What ends a measurement early, in one line."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.embedded.report import SetupError

_INTERRUPTED: Final = 130


class BenchError(Exception):
    """Why nothing can be measured; the message is for the person at the terminal."""


@contextmanager
def ending(name: str) -> Iterator[None]:
    """Ends the program `name`: with 1 and a line where nothing can be measured, with 130 where it is interrupted."""
    try:
        yield
    except (BenchError, SetupError) as error:
        sys.exit(f"{name}: {error}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(_INTERRUPTED)
