"""The figures as a table and as JSON, with the machine they were taken on."""

import dataclasses
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psutil

from loadtests.rows import MIB, Floor, Row

_COLUMNS: Final = ("", "", "audio s/s", "p50 ms", "p95 ms", "WER %", "loops", "CPU s/audio s", "peak MiB")
_PACKAGES: Final = ("tritone", "faster-whisper", "ctranslate2", "numpy", "aiohttp", "grpcio")
# Above this share of the cores in use by others the figures say more about them.
_QUIET_LOAD: Final = 0.25


def table(rows: Iterable[Row]) -> str:
    """One line a contender."""
    lines = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column <= 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def floor_lines(floors: Iterable[Floor]) -> str:
    """One line a floor."""
    return "\n".join(
        f"{'ok    ' if floor.met else 'MISSED'} {floor.name}: {floor.value:.2f}"
        f" (at {'least' if floor.at_least else 'most'} {floor.limit:g})"
        for floor in floors
    )


def row_json(row: Row) -> dict[str, Any]:
    """The medians, and under `rounds` what they are the medians of."""
    return {
        "key": row.key,
        "label": row.label,
        "audio_s_per_s": row.throughput,
        "latency_p50_ms": row.latency_ms(50),
        "latency_p95_ms": row.latency_ms(95),
        "wer_percent": row.wer_percent,
        "looped_clips": row.looped_clips,
        "cpu_s_per_audio_s": row.cpu_s_per_audio_s,
        "peak_rss_bytes": row.peak_rss_bytes,
        "rounds": [dataclasses.asdict(one) for one in row.rounds],
    }


def floor_json(floor: Floor) -> dict[str, Any]:
    """The floor with its verdict."""
    return {**dataclasses.asdict(floor), "met": floor.met}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "load_1_min": os.getloadavg()[0],
    }


def noise_warning(machine: Mapping[str, Any]) -> str:
    """A line for a busy machine, else nothing."""
    if machine["load_1_min"] <= _QUIET_LOAD * machine["cores"]:
        return ""
    return f"the machine is busy (load {machine['load_1_min']:.1f} on {machine['cores']} cores): expect noise"


def _cells(row: Row) -> tuple[str, ...]:
    cpu, peak = row.cpu_s_per_audio_s, row.peak_rss_bytes
    return (
        row.key,
        row.label,
        f"{row.throughput:.1f}",
        f"{row.latency_ms(50):.0f}",
        f"{row.latency_ms(95):.0f}",
        f"{row.wer_percent:.2f}",
        str(row.looped_clips),
        "-" if cpu is None else f"{cpu:.3f}",
        "-" if peak is None else f"{peak / MIB:.0f}",
    )


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
