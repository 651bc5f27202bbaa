"""The tritonserver of PyPI's nvidia-pytriton wheel, laid out so that it starts without Docker."""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from gateway.embedded.download import PinnedWheel, fetch_wheel
from gateway.embedded.files import locked, new_folder
from gateway.embedded.report import Say

TRITON_VERSION: Final = "2.51.0"
TRITON_WHEEL: Final = PinnedWheel(
    "nvidia-pytriton",
    "0.7.0",
    "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df",
    55_369_373,
)
INSTALLED_BYTES: Final = 115 * 1024 * 1024

_RUNNABLE: Final = ("tritonserver", "triton_python_backend_stub")


@dataclass(frozen=True, slots=True)
class TritonInstallation:
    """A tritonserver, its libraries and the Python backend with the stub of the running Python."""

    root: Path

    @classmethod
    def of(cls, cache_dir: Path) -> "TritonInstallation":
        """Where it is, or will be, for this cache and the running Python."""
        return cls(cache_dir / f"triton-{TRITON_VERSION}-py{_python_version()}")

    @property
    def server(self) -> Path:
        """The tritonserver binary."""
        return self.root / "bin" / "tritonserver"

    @property
    def libraries(self) -> Path:
        """The folder of the shared libraries it was built with."""
        return self.root / "lib"

    @property
    def backends(self) -> Path:
        """The value of `--backend-directory`."""
        return self.root / "backends"

    def complete(self) -> bool:
        """Whether it is there. The folder appears whole, so one file speaks for all."""
        return self.server.is_file()


def install_triton(cache_dir: Path, say: Say) -> TritonInstallation:
    """The installation, downloaded and unpacked if the cache has none. Raises SetupError."""
    installation = TritonInstallation.of(cache_dir)
    if installation.complete():
        return installation
    with locked(cache_dir / "triton.lock", say):
        if not installation.complete():
            wheel = fetch_wheel(TRITON_WHEEL, cache_dir / "downloads", say)
            say(f"unpacking Triton {TRITON_VERSION}")
            with new_folder(installation.root) as root:
                _unpack(wheel, root)
            wheel.unlink()
    return installation


def _unpack(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            place = _place(PurePosixPath(name))
            if place is not None and not name.endswith("/"):
                target = root / place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
                target.chmod(0o755 if target.name in _RUNNABLE else 0o644)


def _place(entry: PurePosixPath) -> PurePosixPath | None:
    """Where an entry of the wheel belongs; None for what Triton does not need (PyTriton, other Pythons' stubs)."""
    match entry.parts:
        case ("nvidia_pytriton.libs", name) if not name.startswith("libpython"):
            return PurePosixPath("lib", name)
        case ("pytriton", "tritonserver", "bin", name):
            return PurePosixPath("bin", name)
        case ("pytriton", "tritonserver", "backends", "python", name):
            return PurePosixPath("backends", "python", name)
        case ("pytriton", "tritonserver", "python_backend_stubs", version, name) if version == _python_version():
            return PurePosixPath("backends", "python", name)
        case (top, "licenses", name) if top.endswith(".dist-info"):
            return PurePosixPath("licenses", name)
    return None


def _python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
