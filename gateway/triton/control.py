"""What the warden needs of Triton: to see how its models are, and to load and unload them."""

from dataclasses import dataclass
from typing import Protocol

from gateway.core.deadline import Deadline
from gateway.core.recovery import Sign
from gateway.ports import Transcriber

READY = "READY"
LOADING = "LOADING"
UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A model in Triton's repository. `state` is READY, LOADING, UNLOADING or UNAVAILABLE, in Triton's words."""

    name: str
    version: str
    state: str


class Control(Protocol):
    """Triton, seen from the warden. Whatever fails raises a TritoneError. `address` is where it is, HOST:PORT."""

    address: str

    async def index(self, *, deadline: Deadline) -> tuple[IndexEntry, ...]:
        """Every model of the repository, loaded or not, by name."""
        ...

    async def transcribes(self, model: str, *, deadline: Deadline) -> bool:
        """Whether a loaded model speaks our wire: Triton may serve others beside it."""
        ...

    async def pulse(self, model: str, *, deadline: Deadline) -> Sign:
        """Whether the model's process is alive: it answers without doing anything. Raises nothing."""
        ...

    async def canary(self, model: str, *, deadline: Deadline) -> None:
        """A real, cheap pass through the model."""
        ...

    async def load(self, model: str, *, deadline: Deadline) -> None:
        """Loads it. Triton takes a model that is loaded for done, even one whose process is dead."""
        ...

    async def replace(self, model: str, *, deadline: Deadline) -> None:
        """Loads it afresh beside the loaded one, which goes when it has answered what it was asked."""
        ...

    async def unload(self, model: str, *, deadline: Deadline) -> None:
        """Asks for its end, which comes when it has answered what it was asked."""
        ...


class Backend(Transcriber, Control, Protocol):
    """One Triton, as the whole gateway needs it."""

    async def close(self) -> None:
        """Ends the connection."""
        ...
