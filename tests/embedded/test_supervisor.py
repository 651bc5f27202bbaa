"""The supervisor with small children instead of Triton: nothing outlives it, whoever is killed."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded.supervisor import BoundedLog
from tests.embedded.leftovers import regions_of, wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
SLEEP = ["sleep", "1000"]
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(1000)
"""
PARENT = """
import subprocess, time
print(subprocess.Popen(['sleep', '1000'], close_fds=False).pid, flush=True)
time.sleep(1000)
"""


class Supervised:
    """A supervisor and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self.log = process, log
        assert process.stdin is not None
        assert process.stdout is not None
        self.orders, self.reports = process.stdin, process.stdout

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.reports.readline())
        return report

    def order(self, text: str) -> None:
        os.write(self.orders.fileno(), text.encode() + b"\n")

    def child_says(self) -> str:
        """The first line of the child's output; blocks until it is written."""
        command = ["tail", "-n", "+1", "-F", str(self.log)]
        follow = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert follow.stdout is not None
        try:
            return follow.stdout.readline().decode().strip()
        finally:
            follow.kill()
            follow.wait()
            follow.stdout.close()


@contextmanager
def supervised(tmp_path: Path, command: list[str], **changes: object) -> Iterator[Supervised]:
    log = tmp_path / "triton.log"
    plan = {
        "command": command,
        "environment": dict(os.environ),
        "log_path": str(log),
        "log_max_bytes": 10_000,
        "grace_s": 0.3,
        "restart_min_s": 0.01,
        "restart_max_s": 0.03,
    }
    process = subprocess.Popen(
        [sys.executable, "-S", "-m", "gateway.embedded.supervisor"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        supervisor = Supervised(process, log)
        supervisor.order(json.dumps(plan | changes))
        try:
            yield supervisor
        finally:
            with contextlib.suppress(BrokenPipeError, ValueError):
                supervisor.order("kill")


def test_a_closed_pipe_ends_everything(tmp_path: Path) -> None:
    with supervised(tmp_path, SLEEP) as supervisor:
        child = supervisor.report()["pid"]
        assert regions_of(supervisor.process.pid)
        supervisor.orders.close()
        assert supervisor.report() == {"event": "stopped"}
        assert supervisor.process.wait() == 0
        wait_until_gone(child)
        assert not regions_of(supervisor.process.pid)


def test_a_killed_child_starts_again_and_its_regions_go(tmp_path: Path) -> None:
    with supervised(tmp_path, SLEEP) as supervisor:
        first = supervisor.report()["pid"]
        (owner,) = regions_of(supervisor.process.pid)
        leaked = Path("/dev/shm", owner.replace("owner", "leaked"))
        leaked.write_bytes(b"x")
        os.kill(first, signal.SIGKILL)
        assert supervisor.report() == {"event": "ended", "returncode": -signal.SIGKILL, "restart_in_s": 0.01}
        second = supervisor.report()
        assert second["event"] == "started"
        assert second["pid"] != first
        assert not leaked.exists()


def test_a_command_that_can_not_run_is_in_the_log_and_tried_again(tmp_path: Path) -> None:
    with supervised(tmp_path, ["/no/such/server"]) as supervisor:
        assert supervisor.report()["returncode"] == 126
        assert supervisor.report()["event"] == "ended"
        assert supervisor.log.read_text().startswith("/no/such/server: No such file or directory\n")


def test_the_pause_before_a_restart_doubles_up_to_its_limit(tmp_path: Path) -> None:
    with supervised(tmp_path, ["false"]) as supervisor:
        ends = [report for report in (supervisor.report() for _ in range(8)) if report["event"] == "ended"]
    assert [end["restart_in_s"] for end in ends] == [0.01, 0.02, 0.03, 0.03]


def test_a_child_that_is_deaf_to_sigterm_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    with supervised(tmp_path, [sys.executable, "-c", STUBBORN]) as supervisor:
        child = supervisor.report()["pid"]
        assert supervisor.child_says() == "deaf"
        supervisor.order("stop")
        assert supervisor.report() == {"event": "stopped"}
        wait_until_gone(child)


def test_the_order_to_kill_does_not_wait_for_the_grace_time(tmp_path: Path) -> None:
    with supervised(tmp_path, [sys.executable, "-c", STUBBORN], grace_s=1e6) as supervisor:
        child = supervisor.report()["pid"]
        assert supervisor.child_says() == "deaf"
        supervisor.order("stop")
        supervisor.order("kill")
        assert supervisor.report() == {"event": "stopped"}
        wait_until_gone(child)


def test_sigterm_to_the_supervisor_ends_everything(tmp_path: Path) -> None:
    with supervised(tmp_path, SLEEP) as supervisor:
        child = supervisor.report()["pid"]
        supervisor.process.terminate()
        assert supervisor.process.wait() == 0
        wait_until_gone(child)


def test_grandchildren_of_a_killed_child_are_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, [sys.executable, "-c", PARENT]) as supervisor:
        child = supervisor.report()["pid"]
        grandchild = int(supervisor.child_says())
        os.kill(child, signal.SIGKILL)
        assert supervisor.report()["event"] == "ended"
        wait_until_gone(grandchild)


def test_grandchildren_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path, [sys.executable, "-c", PARENT]) as supervisor:
        child = supervisor.report()["pid"]
        grandchild = int(supervisor.child_says())
        supervisor.process.kill()
        wait_until_gone(child)
        wait_until_gone(grandchild)


def test_the_child_dies_with_a_killed_supervisor_and_the_next_one_removes_its_regions(tmp_path: Path) -> None:
    with supervised(tmp_path, SLEEP) as supervisor:
        child = supervisor.report()["pid"]
        supervisor.process.kill()
        supervisor.process.wait()
        wait_until_gone(child)
        assert regions_of(supervisor.process.pid)
    with supervised(tmp_path, SLEEP) as next_one:
        next_one.report()
        assert not regions_of(supervisor.process.pid)


def test_the_log_keeps_the_newest_lines_in_at_most_two_files(tmp_path: Path) -> None:
    path = tmp_path / "triton.log"
    log = BoundedLog(path, max_bytes=100)
    for number in range(40):
        log.write(b"line %04d\n" % number)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["triton.log", "triton.log.1"]
    assert all(file.stat().st_size <= 100 for file in tmp_path.iterdir())
    assert path.read_text().endswith("line 0039\n")


def test_no_room_for_another_log_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BoundedLog(tmp_path / "triton.log", max_bytes=16)
    log.write(b"the first line\n")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    for _ in range(3):
        log.write(b"lost\n")
    monkeypatch.undo()
    log.write(b"the next line\n")
    assert (tmp_path / "triton.log").read_text() == "the next line\n"
