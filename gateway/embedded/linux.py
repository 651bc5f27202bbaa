"""What Linux offers beyond Python's standard library: death signals between parent and child, adoption of orphans."""

import ctypes
import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

# linux/prctl.h
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def dies_with_this_process() -> Callable[[], None]:
    """A `preexec_fn`: the child gets SIGKILL when the thread that started it ends, so start it from the main thread."""
    parent_pid = os.getpid()

    def ask() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return ask


def kill_group_at_hangup(pipe: int, group: int) -> None:
    """SIGKILL for a process group when the last writer of `pipe` is gone, while somebody holds this reading end.

    The kernel sends it (fcntl(2): F_SETOWN, F_SETSIG, O_ASYNC), so it reaches a process with every thread stuck.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -group)
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent dies (PR_SET_CHILD_SUBREAPER)."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")


def kill_children() -> None:
    """Ends and reaps every child, and the children that these leave to us."""
    while True:
        for pid in _children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    own_pid = str(os.getpid())
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = entry.joinpath("stat").read_text()
            except OSError:
                continue
            # proc(5): the name in brackets may hold anything; state and ppid follow the last bracket.
            if stat.rpartition(")")[2].split()[1] == own_pid:
                found.append(int(entry.name))
    return found
