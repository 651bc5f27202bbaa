"""The tritonserver that is laid out from the wheel."""

import os
import sys
from pathlib import Path

from gateway.embedded.files import new_folder
from gateway.embedded.wheel import TritonInstallation, install_triton
from gateway.settings import Settings


def test_what_triton_needs_is_there_and_runnable(installation: TritonInstallation) -> None:
    python = installation.backends / "python"
    version = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    assert os.access(installation.server, os.X_OK)
    assert os.access(python / "triton_python_backend_stub", os.X_OK)
    assert version.encode() in (python / "triton_python_backend_stub").read_bytes()
    assert {"libtriton_python.so", "triton_python_backend_utils.py"} <= {path.name for path in python.iterdir()}


def test_a_second_installation_does_nothing(
    installation: TritonInstallation, settings: Settings, said: list[str]
) -> None:
    before = installation.server.stat().st_mtime_ns
    assert install_triton(settings.cache_dir, said.append) == installation
    assert installation.server.stat().st_mtime_ns == before
    assert said == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "target"
    try:
        with new_folder(target) as folder:
            (folder / "half").write_text("x")
            raise InterruptedError
    except InterruptedError:
        assert list(tmp_path.iterdir()) == []
    (tmp_path / ".target.abandoned").mkdir()
    with new_folder(target) as folder:
        (folder / "whole").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (target / "whole").read_text() == "x"
