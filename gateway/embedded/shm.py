"""The names of Triton's regions in /dev/shm: one prefix for each supervisor, and who may remove which.

A killed stub leaves its region behind. Each prefix has a lock file that its supervisor holds: the kernel frees the lock
with the process, so a prefix whose lock can be had is nobody's, whatever process has the same number now.
"""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

_SHM_DIR = Path("/dev/shm")  # noqa: S108 - where shm_open(3) keeps regions, not a temporary file of ours
_FAMILY = "tritone_"
_LOCK_SUFFIX = "owner"
_OWNER = re.compile(rf"{_FAMILY}\d+_[0-9a-f]{{8}}_{_LOCK_SUFFIX}")


class ShmPrefix:
    """A prefix that is ours until `release` or until the process ends."""

    def __init__(self) -> None:
        self.text = f"{_FAMILY}{os.getpid()}_{os.urandom(4).hex()}_"
        self._lock_path = _SHM_DIR / f"{self.text}{_LOCK_SUFFIX}"
        self._lock = -1
        while self._lock < 0:
            self._lock = _lock(self._lock_path, os.O_CREAT)

    def remove_regions(self) -> None:
        """Removes what our tritonserver and its stubs left, once they are gone."""
        _remove(self.text, keep=self._lock_path)

    def release(self) -> None:
        """Removes the regions and the lock."""
        self.remove_regions()
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)


def remove_ownerless_regions() -> None:
    """Removes the regions of every supervisor that is gone."""
    for path in _SHM_DIR.iterdir():
        # Anybody may make files there, of any name.
        with suppress(OSError):
            if _OWNER.fullmatch(path.name) and path.lstat().st_uid == os.getuid() and (lock := _lock(path, 0)) >= 0:
                _remove(path.name.removesuffix(_LOCK_SUFFIX), keep=path)
                path.unlink(missing_ok=True)
                os.close(lock)


def _lock(path: Path, flags: int) -> int:
    """The locked descriptor; -1 when another holds it or the file was removed meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return -1


def _remove(prefix: str, *, keep: Path) -> None:
    for path in _SHM_DIR.glob(f"{prefix}*"):
        if path != keep:
            path.unlink(missing_ok=True)
