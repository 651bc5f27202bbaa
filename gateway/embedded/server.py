"""An embedded Triton for the length of an `async with`: ready and tried when the block begins, gone after it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from gateway.embedded.launch import GRACE_S, LOOPBACK, Launch
from gateway.embedded.report import Say, SetupError
from gateway.embedded.shm import remove_ownerless_regions
from gateway.settings import Settings

_POLL_S: Final = 0.05
_TRIAL_TIMEOUT_S: Final = 60.0
_KILL_TIMEOUT_S: Final = 5.0
_LOG_MAX_BYTES: Final = 8 * 1024 * 1024
_SHOWN_LINES: Final = 25
_TRIAL_SAMPLES: Final = 16_000
_PACKAGE_PARENT: Final = str(Path(__file__).resolve().parents[2])


class EmbeddedTriton:
    """Triton as a child of its supervisor. After a crash it comes back; `on_lost` is called when it can't any more."""

    def __init__(self, launch: Launch, settings: Settings, *, on_lost: Callable[[], object], say: Say) -> None:
        self.launch = launch
        self.lost = False
        self.supervisor_pid = 0
        self.triton_pid = 0
        self._settings = settings
        self._on_lost = on_lost
        self._say = say
        self._crashed = asyncio.Event()
        self._ready = False
        self._stopping = False

    @property
    def grpc_address(self) -> str:
        """HOST:PORT for the gateway."""
        return f"{LOOPBACK}:{self.launch.grpc_port}"

    @property
    def metrics_address(self) -> str:
        """HOST:PORT of Triton's metrics page."""
        return f"{LOOPBACK}:{self.launch.metrics_port}"

    async def __aenter__(self) -> Self:
        """Starts Triton. Raises SetupError when a model can't be loaded or its answer makes no sense."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-m", "gateway.embedded.supervisor"),
            env=os.environ | {"PYTHONPATH": _PACKAGE_PARENT},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C at the terminal is for the gateway, which ends Triton after its own requests.
            start_new_session=True,
        )
        self.supervisor_pid = self._process.pid
        self._watch = asyncio.create_task(self._follow_events(), name="triton supervisor events")
        try:
            self._order(json.dumps(self._plan()))
            await self._wait_until_ready()
        except BaseException:
            self.kill()
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends Triton, within the grace time; at once when cancelled."""
        self._stopping = True
        self._order("stop")
        await self._end()

    def kill(self) -> None:
        """Ends Triton without waiting for its requests. Leaving the block still waits for its processes to be gone."""
        self._stopping = True
        self._order("kill")

    def restart(self) -> None:
        """Starts Triton afresh, as after a crash: what dead models left in it goes, and so does what it is doing."""
        with contextlib.suppress(ProcessLookupError):  # it has ended, and comes back without us
            os.kill(self.triton_pid, signal.SIGKILL)

    def log_tail(self) -> tuple[str, ...]:
        """The last lines Triton and its models wrote."""
        try:
            text = self.launch.log_path.read_text(errors="replace")
        except OSError:
            return ()
        return tuple(text.splitlines()[-_SHOWN_LINES:])

    def _plan(self) -> dict[str, Any]:
        return {
            "command": self.launch.command,
            "environment": self.launch.environment,
            "log_path": str(self.launch.log_path),
            "log_max_bytes": _LOG_MAX_BYTES,
            "grace_s": GRACE_S,
            "restart_min_s": self._settings.triton_restart_min_s,
            "restart_max_s": self._settings.triton_restart_max_s,
        }

    def _order(self, line: str) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line.encode() + b"\n")

    async def _follow_events(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        async for line in stdout:
            event = json.loads(line)
            if event["event"] == "started":
                self.triton_pid = event["pid"]
            elif event["event"] == "ended":
                self._crashed.set()
                if self._ready:
                    how = _how_it_ended(event["returncode"])
                    self._say(f"Triton ended unexpectedly ({how}); it starts again in {event['restart_in_s']:g} s")
        if not self._stopping:
            self._say("the supervisor of Triton is gone, and Triton with it")
            self._crashed.set()
            self.lost = True
            self._on_lost()

    async def _wait_until_ready(self) -> None:
        models = ", ".join(self.launch.models)
        self._say(f"starting Triton with {models} (log: {self.launch.log_path})")
        timeout = aiohttp.ClientTimeout(total=_TRIAL_TIMEOUT_S)
        async with aiohttp.ClientSession(f"http://{LOOPBACK}:{self.launch.http_port}", timeout=timeout) as http:
            try:
                async with asyncio.timeout(self._settings.triton_ready_timeout_s):
                    for model in self.launch.models:
                        await self._model_ready(http, model)
                        await self._try_model(http, model)
            except TimeoutError:
                limit_s = self._settings.triton_ready_timeout_s
                raise SetupError(f"Triton was not ready after {limit_s:g} s", details=self.log_tail()) from None
        self._ready = True

    async def _model_ready(self, http: aiohttp.ClientSession, model: str) -> None:
        while not self._crashed.is_set():
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get(f"/v2/models/{model}/ready") as answer:
                    if answer.ok:
                        return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._crashed.wait()
        raise SetupError("Triton could not start; the end of its log:", details=self.log_tail())

    async def _try_model(self, http: aiohttp.ClientSession, model: str) -> None:
        """One real request: under numpy 2 the stub of this Triton answers with empty arrays and no error."""
        audio = {"name": "AUDIO", "datatype": "INT16", "shape": [1, _TRIAL_SAMPLES], "data": [0] * _TRIAL_SAMPLES}
        body = {"parameters": {"canary": True}, "inputs": [audio]}
        try:
            async with http.post(f"/v2/models/{model}/infer", json=body) as answer:
                content = await answer.json()
            if not answer.ok:
                why = content.get("error", "")
                raise SetupError(f"{model} refused a trial request: {why}", details=self.log_tail())
            result = json.loads(bytes(content["outputs"][0]["data"]))
            if isinstance(result.get("segments"), list):
                return
        except aiohttp.ClientError:
            raise SetupError(f"{model} died at a trial request", details=self.log_tail()) from None
        except (ValueError, LookupError, AttributeError, TypeError):
            pass
        raise SetupError(f"{model} sent damaged data to a trial request; install numpy 1.26 (pip install 'numpy<2')")

    async def _end(self) -> None:
        """Waits for the supervisor, which ends Triton, its stubs and their shared memory first."""
        try:
            async with asyncio.timeout(GRACE_S + _KILL_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            # Triton has asked for its own death with its parent's.
            self._process.kill()
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            await self._process.wait()
            await self._watch
            remove_ownerless_regions()


def _how_it_ended(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"
