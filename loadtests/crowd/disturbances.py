"""What is broken on purpose while the users call: the model's process, Triton, and a recycle that breaks nothing."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import psutil
import urllib3

from loadtests.crowd.outcomes import WrongError
from loadtests.processes import SERVER, STUB, listener_on

_RECYCLE_S: Final = 120.0
_OK: Final = 200


def kill_model(host: str, model: str) -> None:
    """The process of a model ends as by the kernel's out-of-memory killer."""
    _kill(host, STUB)


def kill_triton(host: str, model: str) -> None:
    """The tritonserver does."""
    _kill(host, SERVER)


def recycle_model(host: str, model: str) -> None:
    """An operator has the model's process replaced."""
    url = f"{host}/v1/models/{model}/reload"
    answer = urllib3.request("POST", url, timeout=_RECYCLE_S, retries=False)
    if answer.status != _OK:
        raise WrongError(f"HTTP {answer.status} for a reload")


DISTURBANCES: Final[Mapping[str, Callable[[str, str], None]]] = {
    "model killed": kill_model,
    "Triton killed": kill_triton,
    "model recycled": recycle_model,
}


def _kill(host: str, name: str) -> None:
    port = urlsplit(host).port
    tree = listener_on(port) if port else None
    found: list[psutil.Process] = tree.named(name) if tree else []
    if not found:
        raise WrongError(f"there is no {name} of {host} on this machine to be killed")
    for process in found:
        process.kill()
