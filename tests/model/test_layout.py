import os
from pathlib import Path

import pytest

from layout import choose_layout, usable_cores


def test_a_cpu_gets_int8_and_its_cores_are_shared_out() -> None:
    layout = choose_layout({"device": "cpu"})
    assert (layout.device, layout.compute_type) == ("cpu", "int8")
    assert 1 <= layout.workers * layout.threads_per_worker <= max(1, len(os.sched_getaffinity(0)))
    assert layout.max_pending >= layout.workers


def test_each_choice_can_be_overridden() -> None:
    layout = choose_layout({"device": "cpu", "compute_type": "float32", "workers": "3", "max_encode": "2"})
    assert (layout.compute_type, layout.workers, layout.max_encode) == ("float32", 3, 2)


def test_a_gpu_without_its_libraries_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("layout.ctranslate2.get_cuda_device_count", lambda: 1)
    monkeypatch.setattr("layout.CUBLAS", "libcublas.so.0")
    assert choose_layout({}).device == "cpu"
    assert "no cuBLAS" in capsys.readouterr().err
    monkeypatch.setattr("layout.CUBLAS", None)  # this program itself, which is always there
    monkeypatch.setattr("layout.ctranslate2.get_supported_compute_types", lambda _: {"float16", "int8"})
    assert (choose_layout({}).device, choose_layout({}).compute_type) == ("cuda", "float16")


@pytest.mark.parametrize(("quota", "most"), [("150000 100000", 2), ("1000 100000", 1), ("max 100000", 10_000)])
def test_a_containers_quota_is_what_it_has(tmp_path: Path, quota: str, most: int) -> None:
    cores = len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(tmp_path / "cpu.max") == min(cores, most)
    assert usable_cores(tmp_path / "none") == cores
