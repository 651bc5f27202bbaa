"""What an embedded Triton needs of this machine, each as one line: what was found, and how to get what is missing."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import weights
from gateway.embedded.launch import libpython_folder
from gateway.embedded.report import SetupError
from gateway.embedded.wheel import INSTALLED_BYTES, TRITON_VERSION, TRITON_WHEEL, TritonInstallation
from gateway.settings import Settings

PYTHONS: Final = ((3, 11), (3, 12))

_MIB: Final = 1024 * 1024
_OLDEST_GLIBC: Final = (2, 35)
# The region of one stub at its start, and as much again for the responses and a stub that takes over from it.
_SHM_BYTES: Final = 64 * _MIB
_SPARE_BYTES: Final = 64 * _MIB
_PACKAGES: Final = ("ctranslate2", "faster_whisper", "huggingface_hub", "pip")


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement. `remedy` says how to meet it and is empty when it is met."""

    name: str
    found: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether the requirement is met."""
        return not self.remedy

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" + (f"; {self.remedy}" if self.remedy else "")


def every_check(settings: Settings) -> Iterator[Check]:
    """Looks at this machine, the basic requirements first. Touches no network and writes nothing."""
    yield check_python((sys.version_info.major, sys.version_info.minor))
    yield check_platform(platform.system(), platform.machine(), platform.libc_ver())
    yield check_numpy(_installed_numpy())
    yield check_packages([name for name in _PACKAGES if importlib.util.find_spec(name) is None])
    yield check_libpython(_libpython_place())
    yield check_shared_memory(Path("/dev/shm"))  # noqa: S108 - the mount itself is looked at
    if settings.device == "cuda" or settings.compute_type != "auto":
        yield check_device(settings.device, settings.compute_type, _compute_types(settings.device))
    yield check_disk(settings.cache_dir, missing_bytes(settings))
    for model in settings.models:
        yield check_model(model, settings.cache_dir)


def require_all(settings: Settings) -> None:
    """Raises SetupError with the line of the first requirement that is not met."""
    for check in every_check(settings):
        if not check.ok:
            raise SetupError(str(check))


def check_python(version: tuple[int, int]) -> Check:
    """The stub exists for more versions, but numpy 1.26 only up to 3.12."""
    found = f"{version[0]}.{version[1]}"
    return Check("Python", found, "" if version in PYTHONS else "use Python 3.11 or 3.12")


def check_platform(system: str, machine: str, libc: tuple[str, str]) -> Check:
    """The wheel has binaries for x86-64 Linux with glibc 2.35 or newer."""
    name, version = libc
    found = f"{system} {machine}, {name or 'no glibc'} {version}".strip()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    fits = (system, machine, name) == ("Linux", "x86_64", "glibc") and numbers >= _OLDEST_GLIBC
    remedy = "use x86-64 Linux with glibc 2.35 or newer (Debian 12, Ubuntu 22.04), or `tritone serve --triton`"
    return Check("platform", found, "" if fits else remedy)


def check_numpy(version: str) -> Check:
    """The stub of this Triton silently corrupts every array under numpy 2."""
    remedy = "" if version.startswith("1.") else "install numpy 1.26 (pip install 'numpy>=1.26.4,<2')"
    return Check("numpy", version or "missing", remedy)


def check_packages(missing: list[str]) -> Check:
    """The model imports these in the stub, from this environment."""
    names = ", ".join(missing)
    remedy = f"install it: pip install {' '.join(missing).replace('_', '-')}" if missing else ""
    return Check("packages", f"no {names}" if missing else ", ".join(_PACKAGES), remedy)


def check_libpython(place: str) -> Check:
    """The stub embeds Python: it needs the interpreter as a shared library."""
    package = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
    remedy = f"install it (Debian, Ubuntu: apt-get install {package}), or use a Python built with --enable-shared"
    return Check("libpython", place or f"no {package}.so.1.0", "" if place else remedy)


def check_shared_memory(folder: Path) -> Check:
    """Tensors travel through /dev/shm."""
    if not folder.is_dir():
        return Check(str(folder), "missing", "mount a tmpfs there")
    free_bytes = shutil.disk_usage(folder).free
    remedy = "" if free_bytes >= _SHM_BYTES else f"{_SHM_BYTES // _MIB} MiB are needed (docker run --shm-size=256m)"
    return Check(str(folder), f"{free_bytes // _MIB} MiB free", remedy)


def check_device(device: str, compute_type: str, supported: frozenset[str]) -> Check:
    """CTranslate2 can use the device, and the compute type on it."""
    if not supported:
        return Check("device", f"CTranslate2 can't use {device}", "choose another with --device")
    found = f"{device}, with {', '.join(sorted(supported))}"
    fits = compute_type in {"auto", "default", *supported}
    return Check("device", found, "" if fits else f"{compute_type} is none of them: choose another with --compute-type")


def _compute_types(device: str) -> frozenset[str]:
    """What CTranslate2 can do there, asked in a process of its own: the gateway needs none of its libraries."""
    wanted = "'cuda' if ctranslate2.get_cuda_device_count() else 'cpu'" if device == "auto" else repr(device)
    program = f"import ctranslate2; print(*ctranslate2.get_supported_compute_types({wanted}))"
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return frozenset(asked.stdout.split())


def check_model(model: str, cache_dir: Path) -> Check:
    """The model's name means something, and cached weights can be read."""
    try:
        folder = weights.cached_folder(model, cache_dir)
        weights.served_id(model)
        with (folder / "model.bin").open("rb"):
            return Check("model", f"{model} in {folder}")
    except SetupError as error:
        return Check("model", str(error), "choose another with --model or --also")
    except FileNotFoundError:
        if folder.is_relative_to(cache_dir):
            return Check("model", f"{model} not fetched yet")
        return Check("model", f"{folder} has no model.bin", "give the folder of a CTranslate2 model")
    except OSError as error:
        return Check("model", f"{folder}: {error.strerror}", "make the folder readable for this user")


def check_disk(cache_dir: Path, needed_bytes: int) -> Check:
    """The cache holds Triton and the weights, and the downloads while they are unpacked."""
    place = next(folder for folder in (cache_dir, *cache_dir.parents) if folder.exists())
    if not place.is_dir():
        return Check("cache", f"{place} is not a folder", "choose another with --cache-dir")
    if not os.access(place, os.W_OK):
        return Check("cache", f"{place} can't be written", "choose another with --cache-dir")
    free_bytes = shutil.disk_usage(place).free
    found = f"{cache_dir}, {free_bytes // _MIB} MiB free, {needed_bytes // _MIB} MiB to be written"
    enough = free_bytes >= needed_bytes + _SPARE_BYTES
    return Check("cache", found, "" if enough else "make room, or choose another place with --cache-dir")


def missing_bytes(settings: Settings) -> int:
    """What a start would still write to the cache, as far as it is known before the network is asked."""
    triton = TritonInstallation.of(settings.cache_dir)
    total_bytes = 0 if triton.complete() else TRITON_WHEEL.size_bytes + INSTALLED_BYTES
    for model in settings.models:
        pinned = weights.PINNED.get(model)
        if pinned and not (settings.cache_dir / "weights" / model).is_dir():
            total_bytes += pinned.size_bytes + sum(wheel.size_bytes for wheel in pinned.wheels)
    return total_bytes


def describe_triton(settings: Settings) -> str:
    """Whether Triton is in the cache already."""
    triton = TritonInstallation.of(settings.cache_dir)
    return f"Triton {TRITON_VERSION}: {triton.root if triton.complete() else 'not fetched yet'}"


def _installed_numpy() -> str:
    try:
        return importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _libpython_place() -> str:
    folder = libpython_folder()
    return str(folder) if folder else find_library(f"python{sys.version_info.major}.{sys.version_info.minor}") or ""
