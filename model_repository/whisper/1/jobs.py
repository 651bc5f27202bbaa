"""One request on its way through the model, and the backlog in which requests wait for a batch."""

import threading
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from guard import Attempt, Hypothesis
from options import Options, RequestError
from windows import (
    CANARY_TOKENS,
    FRAMES_PER_S,
    LEAST_FRAMES,
    MAX_FRAMES,
    MAX_NEW_TOKENS,
    SAMPLES_PER_FRAME,
    predicted_cost,
    token_cap,
)

_Key: TypeAlias = tuple[int, bool, bool, bool]


@dataclass(slots=True, eq=False)
class Job:
    """A request with what was found out about it so far. `reply` is called exactly once, by `answer`.

    `samples` are those that have not been heard yet: they begin `start_s` after the first, and `said` came before.
    Triton forgets a request that was answered, and may not be asked about it any more.
    """

    samples: NDArray[np.int16]
    options: Options
    previous_tokens: list[int]
    attempt: Attempt
    arrived_s: float
    is_cancelled: Callable[[], bool]
    reply: Callable[["dict[str, Any] | RequestError"], None]
    language: str | None = None
    language_probability: float = 1.0
    language_probabilities: dict[str, float] = field(default_factory=dict)
    hypotheses: list[Hypothesis] = field(default_factory=list)
    encoded: ctranslate2.StorageView | None = None
    said: list[dict[str, Any]] = field(default_factory=list)
    start_s: float = 0.0
    _answered: bool = False
    _talking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def duration_s(self) -> float:
        """Length of the audio that has not been heard yet, in seconds."""
        return len(self.samples) / SAMPLES_PER_FRAME / FRAMES_PER_S

    @property
    def cap(self) -> int:
        """How many tokens its text may have."""
        if self.options.canary:
            return CANARY_TOKENS
        cap = token_cap(len(self.samples))
        return min(MAX_NEW_TOKENS, 2 * cap) if self.attempt.frames == MAX_FRAMES else cap

    @property
    def shape(self) -> tuple[object, ...]:
        """What CTranslate2 needs to be equal in one generate."""
        options = self.options
        return (
            len(self.previous_tokens),
            options.timestamps,
            options.beam_size,
            options.patience,
            self.attempt.temperature,
            options.suppress_tokens,
            options.canary,
        )

    def abandoned(self, now_unix_ms: float) -> RequestError | None:
        """Why nobody waits for this any more, or None."""
        deadline_unix_ms = self.options.deadline_unix_ms
        if deadline_unix_ms is not None and now_unix_ms >= deadline_unix_ms:
            return RequestError("deadline_exceeded", "the deadline passed before the model was done")
        with self._talking:
            if not self._answered and self.is_cancelled():
                return RequestError("cancelled", "the caller left")
        return None

    def answer(self, outcome: "dict[str, Any] | RequestError") -> None:
        """Ends the request."""
        with self._talking:
            self._answered = True
        self.reply(outcome)


URGENT_HEAD_START_S = 10.0
"""An urgent job counts as one that has waited so much longer: it overtakes, and yet starves nobody."""


class Backlog:
    """Jobs that wait, grouped by window and urgency. Whoever takes gets the group with the highest response ratio.

    The response ratio is (waited + cost) / cost: cheap work goes first, and what waits long enough comes first in the
    end, so nothing starves (highest-response-ratio-next, Hansen 1971; for speech: arXiv 2603.11273).
    """

    def __init__(self, max_batch: int, cost_s: Callable[[int], float] = predicted_cost) -> None:
        self._max_batch = max_batch
        self._cost_s = cost_s
        self._groups: dict[_Key, list[Job]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def add(self, job: Job) -> None:
        """Put a job where its window waits; what carries its encoding, or is sampled, waits with others that do."""
        attempt = job.attempt
        key = attempt.frames, job.encoded is not None, attempt.temperature > 0, job.options.urgent
        self._groups.setdefault(key, []).append(job)

    def waiting(self) -> list[Job]:
        """All that wait."""
        return [job for group in self._groups.values() for job in group]

    def drop(self, jobs: Container[Job]) -> list[Job]:
        """Take out those of `jobs` that still wait."""
        dropped = [job for job in self.waiting() if job in jobs]
        groups = {key: [job for job in group if job not in jobs] for key, group in self._groups.items()}
        self._groups = {key: group for key, group in groups.items() if group}
        return dropped

    def take(self, now_s: float, takers: int = 1) -> list[Job]:
        """The next batch, oldest first, shared fairly when several `takers` stand idle; empty when nothing waits."""
        if not self._groups:
            return []

        def response_ratio(key: _Key) -> float:
            frames, _, sampled, urgent = key
            if urgent and not sampled:
                # Among those who talk the first goes first, also for another try in a wider window.
                frames = LEAST_FRAMES
            waited_s = now_s - self._groups[key][0].arrived_s
            return (waited_s + urgent * URGENT_HEAD_START_S) / self._cost_s(frames)

        key = max(self._groups, key=response_ratio)
        group = self._groups[key]
        size = max(1, min(self._max_batch, -(-len(group) // takers)))
        batch, rest = group[:size], group[size:]
        if rest:
            self._groups[key] = rest
        else:
            del self._groups[key]
        return batch
