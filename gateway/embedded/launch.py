"""What tritonserver is started with: its model repository, environment, ports and command line."""

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded.report import SetupError
from gateway.embedded.wheel import TritonInstallation
from gateway.settings import Settings

LOOPBACK: Final = "127.0.0.1"
# How long Triton itself waits for requests in flight at SIGTERM, and when the supervisor stops waiting for Triton.
# The gateway has drained by then.
EXIT_TIMEOUT_S: Final = 5
GRACE_S: Final = 8.0

# The preferred ports are Triton's own defaults.
_HTTP_PORT: Final = 8000
_GRPC_PORT: Final = 8001
_METRICS_PORT: Final = 8002
# Holds 30 s of int16 for every request of a few batches, so that the region never grows while serving.
_SHM_BYTES: Final = 32 * 1024 * 1024
# The model's override (see its config.pbtxt) for each setting; "auto" and 0 leave the choice to the model.
_MODEL_OVERRIDES: Final = {
    "device": "TRITONE_DEVICE",
    "compute_type": "TRITONE_COMPUTE_TYPE",
    "model_workers": "TRITONE_WORKERS",
    "model_threads": "TRITONE_THREADS_PER_WORKER",
    "model_hang_limit_s": "TRITONE_HANG_LIMIT_S",
}


# Makes the model take faults from requests (model_repository/whisper/1/faults.py).
_TEST_FAULTS: Final = "TRITONE_TEST_FAULTS"


@dataclass(frozen=True, slots=True)
class Launch:
    """One way to start Triton. `{shm_prefix}` in `command` is filled in by the supervisor."""

    command: tuple[str, ...]
    environment: dict[str, str]
    log_path: Path
    models: tuple[str, ...]
    http_port: int
    grpc_port: int
    metrics_port: int


def prepare_launch(
    settings: Settings,
    installation: TritonInstallation,
    weights: Mapping[str, Path],
    run_dir: Path,
    *,
    ports: Sequence[int] = (),
    source: Path | None = None,
) -> Launch:
    """Writes the runtime repository into `run_dir` and returns how to start Triton on it.

    `weights` gives a folder for each id to serve; `ports` are those of `triton_ports`, any three by default; `source`
    is the model's folder, Tritone's own by default.
    """
    build_repository(run_dir, source or model_source(), weights)
    http_port, grpc_port, metrics_port = ports or free_ports(0, 0, 0)
    command = [
        str(installation.server),
        f"--model-repository={run_dir / 'models'}",
        f"--backend-directory={installation.backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in weights),
        # The model's config.pbtxt is complete; completing it would start the stub twice.
        "--disable-auto-complete-config",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        *(f"--{door}-address={LOOPBACK}" for door in ("http", "grpc", "metrics")),
        f"--http-port={http_port}",
        f"--grpc-port={grpc_port}",
        f"--metrics-port={metrics_port}",
        # Keeps Triton from holding on to the buffers of large requests.
        "--grpc-infer-allocation-pool-size=1",
        "--backend-config=python,shm-region-prefix-name={shm_prefix}",
        f"--backend-config=python,shm-default-byte-size={_SHM_BYTES}",
    ]
    environment = build_environment(os.environ, settings, installation, run_dir)
    log_path = run_dir / "triton.log"
    log_path.unlink(missing_ok=True)
    return Launch(tuple(command), environment, log_path, tuple(weights), http_port, grpc_port, metrics_port)


def model_source() -> Path:
    """The folder of the `whisper` model: in the checkout, or beside the modules of an installed package."""
    package = Path(__file__).resolve().parents[1]
    for repository in (package.parent / "model_repository", package / "_model_repository"):
        if (repository / "whisper" / "config.pbtxt").is_file():
            return repository / "whisper"
    raise SetupError("model_repository/whisper is missing from this installation of Tritone")


def build_repository(run_dir: Path, source: Path, weights: Mapping[str, Path]) -> None:
    """One Triton model for each served id, all of them the same code, and links to their weights."""
    for folder in (run_dir / "models", run_dir / "weights"):
        shutil.rmtree(folder, ignore_errors=True)
    (run_dir / "weights").mkdir(parents=True)
    for model, weights_folder in weights.items():
        (run_dir / "weights" / model).symlink_to(weights_folder.resolve())
        entry = run_dir / "models" / model
        entry.mkdir(parents=True)
        shutil.copyfile(source / "config.pbtxt", entry / "config.pbtxt")
        (entry / "1").symlink_to(source / "1")


def build_environment(
    environ: Mapping[str, str], settings: Settings, installation: TritonInstallation, run_dir: Path
) -> dict[str, str]:
    """The environment of tritonserver and its stubs; the gateway's own TRITONE_* variables stay with the gateway."""
    inherited = {name: value for name, value in environ.items() if not name.startswith(("TRITONE_", "PYTHON"))}
    overrides = {variable: str(getattr(settings, name)) for name, variable in _MODEL_OVERRIDES.items()}
    libpython = libpython_folder()
    libraries = [str(installation.libraries)] + ([str(libpython)] if libpython else [])
    faults = {_TEST_FAULTS: environ[_TEST_FAULTS]} if _TEST_FAULTS in environ else {}
    return inherited | {
        **faults,
        "LD_LIBRARY_PATH": ":".join([*libraries, *filter(None, [environ.get("LD_LIBRARY_PATH")])]),
        # The embedded interpreter finds its standard library through the `python3` that is first on PATH.
        "PATH": f"{Path(sys.executable).parent}:{environ.get('PATH', os.defpath)}",
        "PYTHONPATH": ":".join(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))),
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": environ.get("MALLOC_ARENA_MAX", "2"),
        "TRITONE_WEIGHTS_DIR": str(run_dir / "weights"),
        **{variable: value for variable, value in overrides.items() if value not in ("auto", "0")},
    }


def libpython_folder() -> Path | None:
    """The folder of the running Python's shared library; None if it is not there or the loader knows it by itself."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    lib_dir = sysconfig.get_config_var("LIBDIR") or ""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    for folder in (Path(lib_dir), Path(sys.base_prefix, "lib"), Path(lib_dir, multiarch)):
        if (folder / name).is_file():
            return folder
    return None


@contextlib.contextmanager
def triton_ports(locks: Path, *, avoid: int) -> Iterator[list[int]]:
    """Ports for HTTP, gRPC and metrics that nobody listens on, nor will: other starts leave them alone for the block.

    Triton itself listens only once its models are loaded. `avoid` is the gateway's own.
    """
    with contextlib.ExitStack() as held:
        yield free_ports(
            *(
                port if port != avoid and _reserved(locks, port, held) else 0
                for port in (_HTTP_PORT, _GRPC_PORT, _METRICS_PORT)
            )
        )


def _reserved(locks: Path, port: int, held: contextlib.ExitStack) -> bool:
    lock = held.enter_context((locks / f"triton-{port}.lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_ports(*preferred: int) -> list[int]:
    """For each preferred loopback port: itself if nothing listens there, else a free one. All differ."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(_bound(port)).getsockname()[1] for port in preferred]


def _bound(port: int) -> socket.socket:
    # SO_REUSEADDR: a connection that ended a moment ago does not make its port look taken.
    for candidate in (port, 0):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, candidate))
            return sock
        except OSError:
            sock.close()
    raise SetupError("no free port on the loopback interface")
