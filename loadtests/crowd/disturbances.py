"""What is broken on purpose while the users call: the model's process, Triton, and a recycle that breaks nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import psutil
import urllib3

from loadtests.crowd.outcomes import WrongError
from loadtests.processes import SERVER, STUB, listener_on

_RECYCLE_S: Final = 120.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is disturbed, and one of its models. `admin_key` is empty where none is needed."""

    host: str
    model: str
    admin_key: str


def kill_model(target: Target) -> None:
    """The process of a model ends as by the kernel's out-of-memory killer."""
    _kill(target.host, STUB)


def kill_triton(target: Target) -> None:
    """The tritonserver does."""
    _kill(target.host, SERVER)


def recycle_model(target: Target) -> None:
    """An operator has the model's process replaced."""
    url = f"{target.host}/v1/models/{target.model}/reload"
    headers = {"Authorization": f"Bearer {target.admin_key}"} if target.admin_key else {}
    answer = urllib3.request("POST", url, headers=headers, timeout=_RECYCLE_S, retries=False)
    if answer.status != _OK:
        raise WrongError(f"HTTP {answer.status} for a reload")


DISTURBANCES: Final[Mapping[str, Callable[[Target], None]]] = {
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
