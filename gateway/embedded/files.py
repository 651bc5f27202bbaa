"""Files of the cache: locks between processes, SHA-256, folders that appear whole or not at all."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.embedded.report import Say


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, say: Say) -> Iterator[None]:
    """Holds an exclusive lock on `path`, waiting for it. The kernel frees it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another tritone that prepares {path.stem}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, beside `target`, that takes its place when the block ends well. The caller holds a lock."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    filling = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    filling.chmod(0o755)
    try:
        yield filling
        replace_folder(filling, target)
    finally:
        shutil.rmtree(filling, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Moves `new` to `target` on the same file system; what stood there is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old.{os.getpid()}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
