"""How many users there are when: one table. A shape is fractions of the duration, and multiples of one crowd."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Stage:
    """Until `until` of the duration there are `crowds` times the users; of one class alone, where `only` names it."""

    until: float
    crowds: float
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Stages in order, and at which fraction of the duration what is broken."""

    stages: tuple[Stage, ...]
    disturbances: tuple[tuple[float, str], ...] = ()

    def stage_at(self, fraction: float) -> Stage | None:
        """The stage at this part of the duration; None after the last."""
        return next((stage for stage in self.stages if fraction < stage.until), None)


_STEADY: Final = (Stage(1.0, 1.0),)
_RAMP_STEPS: Final = 10

SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "steady": Shape(_STEADY),
        "ramp": Shape(tuple(Stage((step + 1) / _RAMP_STEPS, (step + 1) / 2) for step in range(_RAMP_STEPS))),
        "spike": Shape((Stage(1 / 3, 1.0), Stage(2 / 3, 5.0), Stage(1.0, 1.0))),
        "warmup": Shape((Stage(0.3, 4.0, only="LongFile"), Stage(1.0, 1.3))),
        # The disturbances come early: what is judged is the long stretch after the last of them.
        "soak": Shape(_STEADY, ((0.06, "model killed"), (0.15, "model recycled"))),
        "churn": Shape((Stage(1.0, 20.0, only="Churner"),)),
        "chaos": Shape(_STEADY, ((0.2, "model killed"), (0.45, "Triton killed"), (0.7, "model recycled"))),
    }
)
