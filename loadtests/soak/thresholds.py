"""What the gate takes for a leak: every limit in one place, with what clean runs measured."""

from dataclasses import dataclass
from typing import Final

GATEWAY: Final = "gateway"
TRITON: Final = "tritonserver"
MODEL: Final = "model"
PROCESSES: Final = (GATEWAY, TRITON, MODEL)


@dataclass(frozen=True, slots=True)
class GrowthLimit:
    """Private memory may grow by `mib_per_h`, and besides by `noise_mib` within one run, however short.

    The noise is what allocators keep after a busier moment: it comes once and does not go on.
    """

    mib_per_h: float
    noise_mib: float

    def limit_mib_per_h(self, hours: float) -> float:
        """The steepest slope that is no leak, over so many hours."""
        return self.mib_per_h + self.noise_mib / hours


@dataclass(frozen=True, slots=True)
class Thresholds:
    """All limits of the gate."""

    growth: dict[str, GrowthLimit]
    # What a library makes at need and keeps, up to so many.
    bounded: dict[str, int]
    # A killed model's process leaves its region of shared memory behind until Triton is restarted.
    shm_mib_per_kill: float
    # CTranslate2's caching allocator keeps its blocks; not measured, for want of a GPU.
    device_mib: float
    confidence: float
    # So much of the load at its start is not judged: users come, connections open, caches fill.
    skipped_share: float
    # And as much after a process was killed or replaced: a fresh one warms up again.
    skipped_after_restart_share: float
    # Two thirds of the warm-up are compared by their medians.
    settled_mib: float
    failed_requests: int
    # In the last part of the load, when nothing is broken any more, so much may be refused for want of room.
    last_share: float
    refused_share: float
    # Of each kind of user so many must have succeeded, or nothing was proved.
    least_successes: int


THRESHOLDS: Final = Thresholds(
    growth={
        GATEWAY: GrowthLimit(mib_per_h=1.0, noise_mib=12.0),
        TRITON: GrowthLimit(mib_per_h=1.0, noise_mib=16.0),
        MODEL: GrowthLimit(mib_per_h=1.0, noise_mib=48.0),
    },
    # gRPC, timer_manager.cc: a timer that fires starts another thread where none is left to wait for the next one, and
    # none of them ends before the process. The executor that decodes has `decode_threads`, 2 by default, and starts the
    # second when two files are decoded at once.
    bounded={"threads grpc_global_tim": 4, "threads decode_1": 1},
    shm_mib_per_kill=34.0,
    device_mib=64.0,
    confidence=0.95,
    skipped_share=0.25,
    skipped_after_restart_share=0.25,
    settled_mib=8.0,
    failed_requests=0,
    last_share=0.2,
    refused_share=0.05,
    least_successes=1,
)
