"""Chooses device, arithmetic and threads for the machine; each choice can be overridden by a parameter of the model."""

import ctypes
import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import ctranslate2

# What CTranslate2 4 loads when it is first used.
CUBLAS = "libcublas.so.12"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Layout:
    """How CTranslate2 is loaded and fed. `max_batch` utterances are decoded at once, `max_encode` of them encoded.

    Beyond `max_pending` utterances the model takes no more, and they gather into batches in Triton's bounded queue.
    Windows are multiples of `window_step_frames`. A GPU gains more by strangers who share a window than by tight ones;
    on a CPU, which encodes one by one, it is the other way round.
    """

    device: str
    device_index: int
    compute_type: str
    workers: int
    threads_per_worker: int
    max_batch: int
    max_encode: int
    max_pending: int
    window_step_frames: int


def choose_layout(overrides: dict[str, str], device_index: int = 0) -> Layout:
    """The measured best for the device (docs/performance.md), with what `overrides` say instead."""
    wanted = overrides.get("device") or "auto"
    device = ("cuda" if _has_cuda() else "cpu") if wanted == "auto" else wanted
    best = _on_cuda(device_index) if device == "cuda" else _on_cpu()
    given = {field.name: overrides[field.name] for field in fields(Layout) if overrides.get(field.name)}
    chosen: dict[str, Any] = {name: int(text) if text.isdecimal() else text for name, text in given.items()}
    return replace(best, **chosen | {"device": device})


def _has_cuda() -> bool:
    """Whether there is a GPU that can be used: to count them takes the driver alone, to decode on one cuBLAS too."""
    if not ctranslate2.get_cuda_device_count():
        return False
    try:
        ctypes.CDLL(CUBLAS)
    except OSError as error:
        print(f"tritone: a GPU, but no cuBLAS for CTranslate2 ({error}): the CPU is used", file=sys.stderr, flush=True)
        return False
    return True


def _on_cuda(device_index: int) -> Layout:
    supported = ctranslate2.get_supported_compute_types("cuda")
    compute_type = next((kind for kind in ("float16", "int8_float16") if kind in supported), "auto")
    # The second worker prepares features while the first keeps the GPU busy.
    return Layout("cuda", device_index, compute_type, 2, 1, 16, 16, 2 * 16, 400)


def usable_cores(quota: Path = _QUOTA) -> int:
    """Those that this process may run on, no more than a container's quota pays for."""
    cores = len(os.sched_getaffinity(0))
    try:
        allowed_us, _, period_us = quota.read_text().strip().partition(" ")
    except OSError:
        return cores
    return min(cores, max(1, -(-int(allowed_us) // int(period_us)))) if allowed_us.isdecimal() else cores


def _on_cpu() -> Layout:
    if "avx512_vbmi2" in Path("/proc/cpuinfo").read_text():
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")
    supported = ctranslate2.get_supported_compute_types("cpu")
    cores = usable_cores()
    threads = max(1, min(4, cores // 4))
    workers = max(1, cores // threads)
    return Layout("cpu", 0, "int8" if "int8" in supported else "auto", workers, threads, 4, 1, 8 * workers, 100)
