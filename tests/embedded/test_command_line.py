"""`tritone` as a process of its own: what it says, how it exits, and that nothing outlives it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.embedded.wheel import TritonInstallation
from gateway.settings import Settings
from tests.embedded.leftovers import processes_naming, regions_of, wait_all_gone

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120


@pytest.fixture
def cache(settings: Settings, installation: TritonInstallation, tiny_en: Path, tmp_path: Path) -> Path:
    """A cache of our own with what was fetched already, so that its path marks our processes."""
    folder = tmp_path / "cache"
    (folder / "weights").mkdir(parents=True)
    (folder / installation.root.name).symlink_to(installation.root)
    (folder / "weights" / "tiny.en").symlink_to(tiny_en)
    return folder


def tritone(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


class Up:
    """A running `tritone up`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def wait_for(self, start: str) -> str:
        """The next log message that begins with `start`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            message: str = json.loads(line)["message"] if line.startswith("{") else line
            if message.startswith(start):
                return message
        raise AssertionError(f"ended before it said {start!r}")


@pytest.fixture
def up(cache: Path) -> Iterator[Up]:
    """`tritone up` on a free port; the test waits for what it needs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gateway", "up", "--model", "tiny.en", "--log-format", "json"]
    command += ["--cache-dir", str(cache), "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Up(process)
        finally:
            process.kill()


def supervisor_of(up: Up) -> int:
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    return int(children[0])


def url_of(ready: str) -> str:
    return ready.split()[1]


def test_up_serves_refuses_a_second_one_on_its_port_and_ends_cleanly(up: Up, cache: Path) -> None:
    url = url_of(up.wait_for("ready:"))
    with urllib.request.urlopen(f"{url}/readyz") as answer:
        assert answer.status == 200
    port = url.rpartition(":")[2]
    second = tritone("up", "--model", "tiny.en", "--cache-dir", str(cache), "--port", port)
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"tritone: port {port} on 127.0.0.1: address already in use; choose another with --port"
    ]
    supervisor, processes = supervisor_of(up), processes_naming(str(cache))
    assert regions_of(supervisor)
    up.process.send_signal(signal.SIGTERM)
    up.wait_for("stopping:")
    assert up.process.wait(PATIENCE_S) == 0
    wait_all_gone(processes)
    assert not regions_of(supervisor)
    with socket.create_server(("127.0.0.1", int(port))):
        pass


def test_a_killed_up_leaves_nothing(up: Up, cache: Path) -> None:
    up.wait_for("ready:")
    supervisor, processes = supervisor_of(up), processes_naming(str(cache))
    assert len(processes) >= 3
    up.process.kill()
    wait_all_gone({*processes, supervisor})
    assert not regions_of(supervisor)


def test_a_killed_supervisor_ends_up_with_one_line(up: Up, cache: Path) -> None:
    up.wait_for("ready:")
    supervisor, processes = supervisor_of(up), processes_naming(str(cache))
    os.kill(supervisor, signal.SIGKILL)
    up.wait_for("tritone: Triton was lost")
    assert up.process.wait(PATIENCE_S) == 1
    wait_all_gone(processes)
    assert not regions_of(supervisor)


def test_a_second_signal_ends_at_once(up: Up, cache: Path) -> None:
    up.wait_for("ready:")
    processes = processes_naming(str(cache))
    up.process.send_signal(signal.SIGINT)
    up.wait_for("stopping:")
    up.process.send_signal(signal.SIGINT)
    up.wait_for("stopping at once")
    assert up.process.wait(PATIENCE_S) == 130
    wait_all_gone(processes)


def test_a_signal_while_triton_starts_leaves_nothing(up: Up, cache: Path) -> None:
    up.wait_for("starting Triton")
    processes = processes_naming(str(cache))
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(PATIENCE_S) == 130
    wait_all_gone(processes)
    assert not processes_naming(str(cache))


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("up", "--model", "nonsense"), 1, "tritone: model: unknown model 'nonsense': choose tiny.en"),
        (("up", "--model", "base", "--also", "/srv/base"), 1, "tritone: model: /srv/base has no model.bin"),
        (("up", "--port", "eighty"), 2, "tritone: --port: 'eighty' is not a whole number"),
        (
            ("serve", "--host", "0.0.0.0", "--port", "0"),
            2,
            "tritone: --host or TRITONE_HOST: other machines can reach 0.",
        ),
        (("serve", "--port", "0", "--api-keys", "/none"), 2, "tritone: --api-keys or TRITONE_API_KEYS: /none: No such"),
        (("keys", "new"), 2, "tritone: --api-keys or TRITONE_API_KEYS: name the file"),
        (("keys", "new", "--api-keys", "/dev/null/keys"), 1, "tritone: /dev/null/keys: Not a directory"),
        (("up", "--host", "192.0.2.1", "--model", "tiny.en"), 1, "tritone: port 8080 on 192.0.2.1: "),
        (("up", "--cache-dir", "/dev/null/cache"), 1, "tritone: "),
        (("serve", "--triton", "nowhere"), 2, "tritone: --triton or TRITONE_TRITON: 'nowhere' is not HOST:PORT"),
        (("fetch", "nonsense"), 1, "tritone: unknown model 'nonsense'"),
    ],
)
def test_what_can_not_work_is_one_line_and_an_exit_code(arguments: tuple[str, ...], code: int, line: str) -> None:
    done = tritone(*arguments)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(line)


def test_the_doctor_says_ok_here_and_what_is_missing_elsewhere(settings: Settings, tiny_en: Path) -> None:
    well = tritone("doctor", "--model", "tiny.en")
    assert well.returncode == 0, well.stdout
    assert "MISSING" not in well.stdout
    ill = tritone("doctor", "--model", "/no/such/folder")
    assert ill.returncode == 1
    assert "MISSING model: /no/such/folder has no model.bin; give the folder of a CTranslate2 model" in ill.stdout


def test_fetching_what_is_cached_needs_no_network(cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "fetch", "tiny.en", "--cache-dir", str(cache)],
        cwd=ROOT,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"tritone: tiny.en is in {cache / 'weights' / 'tiny.en'}"]


def test_a_key_is_shown_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    done = tritone("keys", "new", "--api-keys", str(path), "--name", "shop", "--admin")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    key = done.stdout.strip()
    assert key.startswith("trt_")
    assert path.read_text().startswith("shop admin ")
    assert key not in path.read_text() + done.stderr
    again = tritone("keys", "new", "--api-keys", str(path), "--name", "shop")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "tritone: line 2: the name shop is there twice\n"
