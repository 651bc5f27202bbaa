"""Sees which processes and regions of shared memory are left, and waits for their end."""

import os
import select
from pathlib import Path

PATIENCE_S = 30.0


def wait_until_gone(pid: int) -> None:
    """Returns when the process has ended; fails if it outlives our patience."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poller = select.poll()
        poller.register(process, select.POLLIN)
        assert poller.poll(PATIENCE_S * 1000), f"process {pid} lives on"
    finally:
        os.close(process)


def processes_naming(text: str) -> dict[int, str]:
    """Command lines of the processes whose arguments or environment contain `text`."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                command = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environ = folder.joinpath("environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in command or text in environ:
                found[int(folder.name)] = command
    return found


def regions_of(supervisor_pid: int) -> list[str]:
    """Names in /dev/shm that belong to one supervisor."""
    return [path.name for path in Path("/dev/shm").glob(f"tritone_{supervisor_pid}_*")]


def wait_all_gone(pids: "set[int] | dict[int, str]") -> None:
    """`wait_until_gone` for each."""
    for pid in pids:
        wait_until_gone(pid)
