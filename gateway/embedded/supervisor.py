"""The parent process of tritonserver: starts it, restarts it after a crash, and leaves nothing behind when it ends.

Run as `python -S -m gateway.embedded.supervisor` with the standard library only. Standard input carries the plan (one
JSON line), then orders: `stop` (SIGTERM, then SIGKILL after the grace time) or `kill`. Its end means `stop`, so the
death of whoever holds the other end, by SIGKILL too, ends Triton. Standard output carries one JSON line a change.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from gateway.embedded.linux import adopt_orphans, dies_with_this_process, kill_children, kill_group_at_hangup
from gateway.embedded.shm import ShmPrefix, remove_ownerless_regions

_ORDERS: Final = 0
_CHUNK_BYTES: Final = 65_536
# After so long a crash counts as the first one again.
_STEADY_S: Final = 60.0
# The shell's exit code for a command that can't be run.
_CAN_NOT_RUN: Final = 126
_LONGEST_PLAN_BYTES: Final = 1024 * 1024


class BoundedLog:
    """A file that is moved to `<name>.1` when it reaches `max_bytes`; at most two files exist."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Appends. A full disk loses log lines, not the server."""
        with contextlib.suppress(OSError):
            if self._file.tell() + len(data) > self._max_bytes:
                with contextlib.suppress(FileNotFoundError):  # moved before, when there was no room for another file
                    self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                fresh = self._path.open("ab", buffering=0)
                self._file.close()
                self._file = fresh
            self._file.write(data)


class Supervisor:
    """One tritonserver at a time, until ordered to stop."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._order = ""
        self._log = BoundedLog(Path(plan["log_path"]), plan["log_max_bytes"])
        self._prefix = ShmPrefix()
        self._poller = select.poll()
        self._poller.register(_ORDERS, select.POLLIN)
        self._wake = self._signal_pipe()
        self._output = -1
        # Only this process holds the writing end, so the kernel sees our death there and ends Triton's process group. A
        # stub's own watch is not enough: it can be stuck with Python's lock held when its server dies.
        self._leash, self._leash_holder = os.pipe()

    def run(self) -> None:
        """Runs Triton until the order comes. The pause before each restart doubles up to its limit."""
        pause_s = self._plan["restart_min_s"]
        while not self._ordered("stop", "kill"):
            started_s = time.monotonic()
            returncode = self._run_once()
            if self._ordered("stop", "kill"):
                break
            if time.monotonic() - started_s > _STEADY_S:
                pause_s = self._plan["restart_min_s"]
            _report(event="ended", returncode=returncode, restart_in_s=pause_s)
            self._wait(time.monotonic() + pause_s)
            pause_s = min(2 * pause_s, self._plan["restart_max_s"])
        self._prefix.release()
        _report(event="stopped")

    def _run_once(self) -> int:
        self._output, child_end = os.pipe()
        os.set_blocking(self._output, False)
        self._poller.register(self._output, select.POLLIN)
        try:
            child = self._start(child_end)
        except OSError as error:
            self._log.write(f"{error.filename}: {error.strerror}\n".encode())
            self._close_output()
            return _CAN_NOT_RUN
        finally:
            os.close(child_end)
        _report(event="started", pid=child.pid)
        self._wait(None, child)
        if child.poll() is None:
            self._end(child)
        kill_children()
        self._prefix.remove_regions()
        self._copy_output()
        self._close_output()
        return child.wait()

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [part.replace("{shm_prefix}", self._prefix.text) for part in self._plan["command"]],
            env=self._plan["environment"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            pass_fds=[self._leash],
            preexec_fn=dies_with_this_process(),  # noqa: PLW1509 - this process has one thread
        )
        kill_group_at_hangup(self._leash, child.pid)
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """SIGTERM; SIGKILL after the grace time or the order `kill`. With a dead stub Triton never ends by itself."""
        if not self._ordered("kill"):
            child.terminate()
            self._wait(time.monotonic() + self._plan["grace_s"], child, ("kill",))
        child.kill()
        child.wait()

    def _wait(
        self,
        until_s: float | None,
        child: subprocess.Popen[bytes] | None = None,
        orders: tuple[str, ...] = ("stop", "kill"),
    ) -> None:
        """Copies output until a time, the child's end, or one of `orders`."""
        while (child is None or child.poll() is None) and not self._ordered(*orders):
            left_s = None if until_s is None else until_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            for descriptor, _ in self._poller.poll(None if left_s is None else left_s * 1000):
                if descriptor == _ORDERS:
                    self._read_order()
                elif descriptor == self._output:
                    self._copy_output()
                elif signal.SIGTERM in os.read(self._wake, _CHUNK_BYTES):
                    self._order = self._order or "stop"

    def _ordered(self, *orders: str) -> bool:
        return self._order in orders

    def _read_order(self) -> None:
        received = os.read(_ORDERS, _CHUNK_BYTES)
        if not received:
            self._poller.unregister(_ORDERS)
        self._order = "kill" if b"kill" in received else self._order or "stop"

    def _copy_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._output >= 0:
                data = os.read(self._output, _CHUNK_BYTES)
                if not data:
                    return self._close_output()
                self._log.write(data)
        return None

    def _close_output(self) -> None:
        if self._output >= 0:
            self._poller.unregister(self._output)
            os.close(self._output)
            self._output = -1

    def _signal_pipe(self) -> int:
        """A descriptor that becomes readable when a child ends or SIGTERM comes, with the signal's number as a byte."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self._poller.register(reading, select.POLLIN)
        return reading


def _report(**fields: object) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(fields).encode() + b"\n")


def _read_plan() -> dict[str, Any]:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(_ORDERS, 1)
        if not byte or len(line) > _LONGEST_PLAN_BYTES:
            sys.exit("no plan on standard input")
        line += byte
    plan: dict[str, Any] = json.loads(line)
    return plan


def main() -> None:
    """Reads the plan and runs it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan = _read_plan()
    adopt_orphans()
    remove_ownerless_regions()
    Supervisor(plan).run()


if __name__ == "__main__":
    main()
