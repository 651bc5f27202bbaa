"""Chooses device, arithmetic and threads for the machine; each choice can be overridden by a parameter of the model."""

import os
from dataclasses import dataclass

import ctranslate2


@dataclass(frozen=True, slots=True)
class Layout:
    """How CTranslate2 is loaded and fed. `max_batch_frames` bounds the mel frames encoded at once."""

    device: str
    device_index: int
    compute_type: str
    workers: int
    threads_per_worker: int
    max_batch: int
    max_batch_frames: int


def choose_layout(overrides: dict[str, str], device_index: int = 0) -> Layout:
    """The measured best for a CPU (docs/performance.md): one worker a core; on CUDA two feeders for one GPU."""
    wanted = overrides.get("device") or "auto"
    device = ("cuda" if ctranslate2.get_cuda_device_count() else "cpu") if wanted == "auto" else wanted
    supported = ctranslate2.get_supported_compute_types(device)
    if device == "cuda":
        compute_type = (
            "float16" if "float16" in supported else "int8_float16" if "int8_float16" in supported else "auto"
        )
        chosen = Layout(device, device_index, compute_type, 2, 1, 16, 16 * 3000)
    else:
        cores = len(os.sched_getaffinity(0))
        threads = max(1, min(4, cores // 4))
        chosen = Layout(
            device, 0, "int8" if "int8" in supported else "auto", max(1, cores // threads), threads, 8, 4000
        )
    return Layout(
        device=device,
        device_index=chosen.device_index,
        compute_type=overrides.get("compute_type") or chosen.compute_type,
        workers=int(overrides.get("workers") or chosen.workers),
        threads_per_worker=int(overrides.get("threads_per_worker") or chosen.threads_per_worker),
        max_batch=int(overrides.get("max_batch") or chosen.max_batch),
        max_batch_frames=int(overrides.get("max_batch_frames") or chosen.max_batch_frames),
    )
