import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai
import pytest

MODEL = "tiny.en"
MAX_UPLOAD_BYTES = 4 * 1024 * 1024
READY = re.compile(r"(?:ready|listening): (http://[^ ]+) .*Triton at ([^)]+)\)")
START_S = 180
STOP_S = 60


@dataclass
class Server:
    """A running `tritone up` or `serve`, its addresses, and what it has logged so far."""

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)
    url: str = ""
    triton: str = ""

    def logged(self, text: str) -> list[str]:
        """The lines with `text` in them."""
        return [line for line in self.log if text in line]


@contextmanager
def running(command_name: str = "up", *, ends_itself: bool = False, **settings: object) -> Iterator[Server]:
    """Starts `tritone up` on a free port and ends it as Ctrl-C does; that must work every time."""
    command = [sys.executable, "-m", "gateway", command_name, "--model", MODEL, "--port", "0", "--log-format", "json"]
    environment = os.environ | {f"TRITONE_{name.upper()}": str(value) for name, value in settings.items()}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        server = Server(process)
        ready = threading.Event()

        def read() -> None:
            for line in process.stderr or ():
                server.log.append(line)
                if match := READY.search(line):
                    server.url, server.triton = match.groups()
                    ready.set()
            ready.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert ready.wait(START_S)
            assert server.url, server.log
            yield server
            if not ends_itself:
                process.send_signal(signal.SIGINT)
                assert process.wait(STOP_S) == 0, server.log
        finally:
            process.kill()
            reader.join()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Real Triton, real weights, the real gateway; started once."""
    with running(max_upload_bytes=MAX_UPLOAD_BYTES) as server:
        yield server


def sdk(server: Server) -> openai.OpenAI:
    """OpenAI's own client, as a user would point it here; it repeats nothing, so that every failure is seen."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=60)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with sdk(server) as client:
        yield client
