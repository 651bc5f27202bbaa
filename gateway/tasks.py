"""A group of tasks that ends at a deadline, and whose failure is one error."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.core.deadline import Deadline
from gateway.core.errors import DeadlineExceeded, TritoneError

# What the model's own deadline ends tells of the model; this ends what still waits for it.
AFTER_DEADLINE_S: Final = 0.1


@asynccontextmanager
async def tasks_until(deadline: Deadline) -> AsyncIterator[asyncio.TaskGroup]:
    """A task group; the first failure ends the rest. Raises that failure, or DeadlineExceeded (on time.monotonic)."""
    try:
        remaining_s = deadline.remaining_s(time.monotonic())
        async with asyncio.timeout(remaining_s + AFTER_DEADLINE_S), asyncio.TaskGroup() as group:
            yield group
    except TimeoutError:
        raise DeadlineExceeded("The time of this request is over.") from None
    except ExceptionGroup as failures:
        raise _cause(failures) from None


def _cause(failures: ExceptionGroup[Exception]) -> Exception:
    """The failure to tell: a bug before anything else, then the first."""
    bugs, expected = failures.split(lambda error: not isinstance(error, TritoneError | ExceptionGroup))
    first: Exception = bugs or expected or failures
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first
