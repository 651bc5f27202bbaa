"""The numbers that a client may give for decoding, the same on every door."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number from `low` to `high`, whole or not."""

    low: float
    high: float
    whole: bool = False


DECODING: Mapping[str, Bounds] = {
    "temperature": Bounds(0, 1),
    "beam_size": Bounds(1, 10, whole=True),
    "patience": Bounds(1, 4),
    "no_speech_threshold": Bounds(0, 1),
    "log_prob_threshold": Bounds(-100, 0),
    "compression_ratio_threshold": Bounds(0, 100),
}
# Of a request's own deadline; the most is a setting.
MIN_TIMEOUT_S = 0.001
