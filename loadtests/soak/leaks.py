"""The negative controls: `python -m loadtests.soak.leaks KIND up …` is a gateway with a leak, for the gate to find."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.__main__ import main
from gateway.audio.vad import WebRtcScorer
from gateway.live.registry import Registry
from gateway.triton.client import TritonTranscriber

EVERY_SESSION: Final = 50
EVERY_FUTURE: Final = 100


@dataclass(frozen=True, slots=True)
class Leak:
    """One control: how the service is started with it, and what a finding must name."""

    name: str
    program: tuple[str, ...]
    environment: Mapping[str, str]
    names: str


def _keep_sessions() -> None:
    """The registry keeps every 50th session for ever."""
    kept: list[object] = []
    opened = Registry.open
    count = 0

    async def leaking(self: Registry, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever open takes
        nonlocal count
        session = await opened(self, *args, **options)
        count += 1
        if count % EVERY_SESSION == 0:
            kept.append(session)
        return session

    Registry.open = leaking  # type: ignore[method-assign]  # this is what a control is


def _leave_futures() -> None:
    """Every 100th question to the model leaves a future that nobody resolves."""
    kept: list[asyncio.Future[None]] = []
    asked = TritonTranscriber.transcribe
    count = 0

    async def leaking(self: TritonTranscriber, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        nonlocal count
        count += 1
        if count % EVERY_FUTURE == 0:
            kept.append(asyncio.get_running_loop().create_future())
        return await asked(self, *args, **options)

    TritonTranscriber.transcribe = leaking  # type: ignore[method-assign]  # as above


def _grow_vad() -> None:
    """The detector of speech keeps all that it has heard."""
    heard = bytearray()
    scored = WebRtcScorer.score

    def leaking(self: WebRtcScorer, frames: Any) -> Any:  # noqa: ANN401 - as above
        heard.extend(frames.tobytes())
        return scored(self, frames)

    WebRtcScorer.score = leaking  # type: ignore[method-assign]  # as above


_PATCHES: Final[Mapping[str, Callable[[], None]]] = {
    "sessions": _keep_sessions,
    "futures": _leave_futures,
    "vad": _grow_vad,
}


def _in_gateway(name: str, names: str) -> Leak:
    return Leak(name, ("loadtests.soak.leaks", name), {}, names)


LEAKS: Final[Mapping[str, Leak]] = {
    "sessions": _in_gateway("sessions", "objects of gateway.live.session.LiveSession"),
    "futures": _in_gateway("futures", "pending_futures"),
    "vad": _in_gateway("vad", "private memory of gateway"),
    "model": Leak("model", ("gateway",), {"TRITONE_TEST_FAULTS": "leak"}, "private memory of model"),
}

if __name__ == "__main__":
    _PATCHES[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
