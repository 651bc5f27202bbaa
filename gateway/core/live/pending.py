"""The utterances of a session that were cut and have no answer yet, in order."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from gateway.core.audio import CutReason, DecodeOptions, Transcript, Utterance
from gateway.core.errors import TritoneError
from gateway.core.live.context import Context
from gateway.core.live.session_config import SessionConfig


@dataclass(frozen=True, slots=True)
class Skipped:
    """The utterance was not worth decoding."""

    reason: str


Answer: TypeAlias = Transcript | TritoneError | Skipped


@dataclass(slots=True, eq=False)
class Waiting:
    """One utterance on its way; `options` is what it was sent with, `lead_samples` what was put in front of it.

    `ended_at_s` is when that came which ended it. `is_second`: it is decoded again, without what went before.
    """

    utterance: Utterance
    reason: CutReason
    config: SessionConfig
    context: Context
    ended_at_s: float
    options: DecodeOptions | None = None
    lead_samples: int = 0
    is_second: bool = False
    answer: Answer | None = None


class Pending:
    """Sends in order, takes answers in any order, gives them out in order. Whoever adds keeps `samples` bounded."""

    def __init__(self) -> None:
        self._line: deque[Waiting] = deque()
        self.samples = 0

    def __len__(self) -> int:
        return len(self._line)

    def add(self, waiting: Waiting) -> None:
        """Puts an utterance at the end."""
        self._line.append(waiting)
        self.samples += len(waiting.utterance.samples)

    def next_to_send(self, in_flight: int) -> Waiting | None:
        """The first that was not sent, if it is among the first `in_flight`, or the first where it needs its turn."""
        for at, waiting in enumerate(islice(self._line, in_flight)):
            if waiting.options is None and waiting.answer is None:
                return None if at and waiting.config.in_sequence else waiting
        return None

    @property
    def unsent(self) -> bool:
        """Whether an utterance waits to be sent."""
        return bool(self._line) and self._line[-1].options is None

    def sent(self, index: int) -> Waiting:
        """The one that waits for an answer under `index`. Raises KeyError where none does."""
        for waiting in self._line:
            if waiting.utterance.index == index and waiting.options is not None and waiting.answer is None:
                return waiting
        raise KeyError(f"no answer is expected for utterance {index}")

    def answered(self) -> Iterator[Waiting]:
        """Takes out the answered ones at the front."""
        while self._line and self._line[0].answer is not None:
            yield self._take()

    def drain(self) -> Iterator[Waiting]:
        """Takes out all, answered or not."""
        while self._line:
            yield self._take()

    def _take(self) -> Waiting:
        waiting = self._line.popleft()
        self.samples -= len(waiting.utterance.samples)
        return waiting
