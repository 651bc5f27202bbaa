"""What a process and its descendants have used: processor time and memory. Linux only."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

# Triton, and the process in which it runs a Python model.
SERVER: Final = "tritonserver"
STUB: Final = "triton_python_backend_stub"


class ProcessTree:
    """A process with everything it started that still runs."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_s(self) -> float:
        """Processor seconds of user and system so far."""
        total_s = 0.0
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total_s += times.user + times.system
        return total_s

    def peak_rss_bytes(self) -> int:
        """The sum of what each process has held at most; pages that two share count twice."""
        return sum(_peak_rss_bytes(process.pid) for process in self._all())

    def root_peak_rss_bytes(self) -> int:
        """What the first process alone has held at most."""
        return _peak_rss_bytes(self._root.pid)

    def root_rss_bytes(self) -> int:
        """What the first process alone holds now."""
        resident: int = self._root.memory_info().rss
        return resident

    @property
    def root(self) -> psutil.Process:
        """The first process."""
        return self._root

    def named(self, name: str) -> list[psutil.Process]:
        """The living ones of this name."""
        found = []
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                if process.name() == name and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _all(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]


def listener_on(port: int) -> ProcessTree | None:
    """The process on this machine that listens on a TCP port; None if there is none that we may see."""
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid
            if listens and connection.laddr and connection.laddr.port == port:
                return ProcessTree(listens)
    return None


def _peak_rss_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak[1]) * 1024 if peak else 0
