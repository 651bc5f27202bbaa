"""`tritone up` and `tritone serve`: what is started in which order, and how it ends."""

import asyncio
import dataclasses
import errno
import fcntl
import ipaddress
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvloop

from gateway import app
from gateway.core.api_keys import KeyFileError
from gateway.embedded import weights
from gateway.embedded.launch import Launch, prepare_launch, triton_ports
from gateway.embedded.report import Say, SetupError
from gateway.embedded.server import EmbeddedTriton
from gateway.embedded.wheel import install_triton
from gateway.key_file import KeyFile
from gateway.settings import Settings, SettingsError
from gateway.telemetry import configure_logging

INTERRUPTED: Final = 130

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BACKLOG: Final = 1024


def up(settings: Settings) -> int:
    """Runs a Triton of our own and the gateway until a signal. Returns the exit code; raises SetupError."""
    say = _start_logging(settings)
    # Until the event loop has its own way, SIGTERM ends downloads as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bound(settings.host, settings.port) as listener:
        address, port = listener.getsockname()[:2]
        check_keys(settings, address)
        runs = settings.cache_dir / "run"
        with (
            run_folder(runs / f"port-{port}", stays=bool(settings.port)) as folder,
            triton_ports(runs, avoid=port) as ports,
        ):
            installation = install_triton(settings.cache_dir, say)
            names = [weights.served_id(name) for name in settings.models]
            if len(set(names)) < len(names):
                raise SetupError(f"{', '.join(settings.models)}: two of them would be served by one name")
            folders = [weights.fetch(name, settings.cache_dir, say) for name in settings.models]
            files = dict(zip(names, folders, strict=True))
            model, *also = files
            warden = "on" if settings.warden == "auto" else settings.warden
            served = dataclasses.replace(settings, model=model, also=",".join(also), port=port, warden=warden)
            launch = prepare_launch(served, installation, files, folder, ports=ports)
            return _run(_up(served, launch, listener, say))


def serve(settings: Settings) -> int:
    """Runs the gateway alone, against the Triton at `settings.triton`. Returns the exit code; raises SetupError."""
    say = _start_logging(settings)
    with bound(settings.host, settings.port) as listener:
        check_keys(settings, listener.getsockname()[0])
        return _run(_serve(settings, listener, say))


async def _up(settings: Settings, launch: Launch, listener: socket.socket, say: Say) -> int:
    stop = asyncio.Event()
    main = _current_task()
    _on_signals(main.cancel)
    async with EmbeddedTriton(launch, settings, on_lost=stop.set, say=say) as triton:

        def end_at_once() -> None:
            triton.kill()
            main.cancel()

        _stop_on_signal(stop, end_at_once, say)
        settings = dataclasses.replace(settings, triton=triton.grpc_address, triton_metrics=triton.metrics_address)
        await _serve_until(stop, settings, listener, say, state="ready", restart_triton=triton.restart)
    if triton.lost:
        raise SetupError("Triton was lost", details=triton.log_tail())
    return 0


async def _serve(settings: Settings, listener: socket.socket, say: Say) -> int:
    stop = asyncio.Event()
    _stop_on_signal(stop, _current_task().cancel, say)
    # Whether that Triton has the model is found out from now on.
    await _serve_until(stop, settings, listener, say, state="listening")
    return 0


async def _serve_until(
    stop: asyncio.Event,
    settings: Settings,
    listener: socket.socket,
    say: Say,
    *,
    state: str,
    restart_triton: Callable[[], None] | None = None,
) -> None:
    # Until here a connection is refused rather than left waiting; from here the kernel keeps it for the gateway.
    listener.listen(_BACKLOG)
    address = _url(listener)
    say(f"{state}: {address} serves {', '.join(settings.models)} (Triton at {settings.triton})")
    say(f"try: curl -F file=@speech.flac -F model=whisper-1 {address}/v1/audio/transcriptions")
    await app.serve(settings, listener=listener, stop=stop, restart_triton=restart_triton)


def _stop_on_signal(stop: asyncio.Event, end_at_once: Callable[[], object], say: Say) -> None:
    """The first signal drains; the second ends at once; a third meets Python's own treatment of it."""

    def first() -> None:
        say("stopping: open requests may end (once more to stop at once)")
        stop.set()
        _on_signals(second)

    def second() -> None:
        say("stopping at once")
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        end_at_once()

    _on_signals(first)


def _on_signals(action: Callable[[], object]) -> None:
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, action)


def _run(main: Coroutine[Any, Any, int]) -> int:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    except asyncio.CancelledError:
        return INTERRUPTED


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _start_logging(settings: Settings) -> Say:
    configure_logging(settings)
    return logging.getLogger("tritone").info


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address and does not listen yet. Raises SetupError if the address can't be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise SetupError(f"can't listen on {host}: {error.strerror}; choose another address with --host") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0).lower()
        remedy = "address with --host" if error.errno == errno.EADDRNOTAVAIL else "with --port"
        raise SetupError(f"port {port} on {host}: {reason}; choose another {remedy}") from None
    return listener


def check_keys(settings: Settings, address: str) -> None:
    """Raises SettingsError where other machines could come in without being asked to, or the keys can't be read."""
    if not settings.api_keys and not ipaddress.ip_address(address).is_loopback:
        raise SettingsError(
            f"--host or TRITONE_HOST: other machines can reach {address}: ask them for keys with --api-keys FILE "
            "(`tritone keys new` makes one), or let everybody in with --api-keys none"
        )
    try:
        KeyFile(settings.api_key_file, admin_key=settings.admin_key, max_keys=settings.max_api_keys)
    except KeyFileError as error:
        raise SettingsError(f"--api-keys or TRITONE_API_KEYS: {error}") from None


@contextmanager
def run_folder(folder: Path, *, stays: bool = True) -> Iterator[Path]:
    """The folder of one running Triton's repository and log, which `stays` for whoever comes to read the log.

    Raises SetupError when another `tritone up` has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            name = folder.name.replace("-", " ")
            raise SetupError(f"another `tritone up` is starting on {name}; choose another with --port") from None
        yield folder
        if not stays:
            shutil.rmtree(folder, ignore_errors=True)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
