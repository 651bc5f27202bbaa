"""Wheels through the real pip, from a folder that stands for the package index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from gateway.embedded.download import PinnedWheel, fetch_wheel
from gateway.embedded.report import SetupError

FILE = "mini_wheel-1.0-py3-none-any.whl"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one small wheel, the only place pip looks at."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr("mini_wheel/data", b"data")
        archive.writestr("mini_wheel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mini-wheel\nVersion: 1.0\n")
        archive.writestr(
            "mini_wheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("mini_wheel-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def pinned(sha256: str) -> PinnedWheel:
    return PinnedWheel("mini-wheel", "1.0", sha256, 1000)


def test_the_pinned_wheel_is_downloaded_once(index: Path, tmp_path: Path, said: list[str]) -> None:
    wheel = pinned(hashlib.sha256((index / FILE).read_bytes()).hexdigest())
    first = fetch_wheel(wheel, tmp_path / "downloads", said.append)
    assert first.read_bytes() == (index / FILE).read_bytes()
    (index / FILE).unlink()
    assert fetch_wheel(wheel, tmp_path / "downloads", said.append) == first
    assert said == ["downloading mini-wheel 1.0 (0 MiB) from the package index"]


def test_a_wheel_with_another_hash_is_refused(index: Path, tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SetupError, match="pip could not download mini-wheel"):
        fetch_wheel(pinned("0" * 64), tmp_path / "downloads", said.append)
    assert list((tmp_path / "downloads").iterdir()) == []
