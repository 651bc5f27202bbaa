"""The pictures of a report: drawn by matplotlib, returned as SVG to stand within a page."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.soak.ledger import Entry
from loadtests.soak.memory import MIB, Held, Sample
from loadtests.soak.slopes import Fit
from loadtests.soak.thresholds import PROCESSES

_WIDTH_IN: Final = 11.0
_ROW_IN: Final = 2.6
_BINS: Final = 40
_COLOURS: Final = {"ok": "#2a7f62", "shed": "#d9a520", "failed": "#c0392b"}
_SIZES: Final[Mapping[str, Callable[[Held], int]]] = {
    "resident (RSS)": lambda held: held.rss_bytes,
    "proportional (PSS)": lambda held: held.pss_bytes,
    "private (USS)": lambda held: held.uss_bytes,
}
_COUNTS: Final = {
    "tritone_sessions": "sessions",
    "tritone_requests_in_progress": "requests in progress",
    "tritone_utterances_in_flight": "utterances in Triton",
    "tritone_utterances_waiting": "utterances that wait",
    "tritone_tasks": "tasks",
}


class Pictures:
    """Pictures over one axis of time: minutes since `start_s` (Unix time); `marks` name the beginnings of parts."""

    def __init__(self, start_s: float, end_s: float, marks: Mapping[str, float]) -> None:
        self._start_s = start_s
        self._end_min = (end_s - start_s) / 60
        self._marks = marks

    def memory(self, samples: Sequence[Sample], fits: Mapping[str, Fit | None]) -> str:
        """RSS, PSS and USS of each process, with the line that was judged."""
        figure, rows = _panels(len(PROCESSES))
        for axes, process in zip(rows, PROCESSES, strict=True):
            present = [sample for sample in samples if process in sample.processes]
            times_min = self._minutes(sample.at_s for sample in present)
            for label, size in _SIZES.items():
                sizes_mib = [size(sample.processes[process]) / MIB for sample in present]
                axes.plot(times_min, sizes_mib, label=label, linewidth=1.2)
            if line := fits.get(process):
                ends_min = self._minutes([line.start_s, line.end_s])
                told = f"{line.mib_per_h:+.1f} MiB/h ({line.low_mib_per_h:+.1f} to {line.high_mib_per_h:+.1f})"
                axes.plot(ends_min, [line.start_mib, line.end_mib], "k--", linewidth=2, label=told)
            self._finish(axes, f"Memory of {process}", "MiB")
        return _svg(figure)

    def latency(self, entries: Sequence[Entry], names: Iterable[tuple[str, str]]) -> str:
        """Median and 95th percentile over time, a panel for each of `names`."""
        shown = [(kind, name, _of(entries, kind, name)) for kind, name in names]
        shown = [(kind, name, found) for kind, name, found in shown if found]
        figure, rows = _panels(len(shown))
        for axes, (kind, name, found) in zip(rows, shown, strict=True):
            times_min = self._minutes(entry.at_s for entry in found)
            seconds = np.array([entry.ms / 1000 for entry in found])
            axes.plot(times_min, seconds, ".", color="#bbbbbb", markersize=3, label="each")
            groups = np.array_split(np.arange(len(found)), max(1, min(_BINS, len(found) // 5)))
            middles = [float(np.mean(times_min[group])) for group in groups]
            for percent, colour in ((50, "#2a7f62"), (95, "#c0392b")):
                values = [float(np.percentile(seconds[group], percent)) for group in groups]
                axes.plot(middles, values, color=colour, linewidth=1.5, label=f"p{percent}")
            axes.set_ylim(bottom=0)
            self._finish(axes, f"{kind}: {name}", "seconds")
        return _svg(figure)

    def throughput(self, entries: Sequence[Entry]) -> str:
        """What went well, was shed, or failed, in each minute."""
        figure, (axes,) = _panels(1)
        edges = np.linspace(0, self._end_min, _BINS + 1)
        width_min = edges[1] - edges[0]
        below = np.zeros(_BINS)
        for outcome, colour in _COLOURS.items():
            times_min = self._minutes(entry.at_s for entry in entries if entry.outcome == outcome)
            heights = np.histogram(times_min, edges)[0] / width_min
            axes.bar(edges[:-1], heights, width_min, below, align="edge", color=colour, label=outcome)
            below += heights
        self._finish(axes, "What users did", "a minute")
        return _svg(figure)

    def counts(self, samples: Sequence[Sample]) -> str:
        """What is held: sessions, tasks, utterances; buffered audio and shared memory; threads and files."""
        figure, (held, audio, handles) = _panels(3)
        times_min = self._minutes(sample.at_s for sample in samples)
        for name, label in _COUNTS.items():
            held.plot(times_min, [sample.counts[name] for sample in samples], label=label, linewidth=1)
        self._finish(held, "Held by the gateway", "count")
        buffered = [sample.counts["tritone_live_audio_bytes"] / MIB for sample in samples]
        audio.plot(times_min, buffered, label="buffered live audio", linewidth=1)
        audio.plot(
            times_min, [sample.shm_bytes / MIB for sample in samples], label="shared memory of Triton", linewidth=1
        )
        on_device = [(sample.at_s, sample.device_bytes) for sample in samples if sample.device_bytes is not None]
        if on_device:
            used_mib = [used_bytes / MIB for _, used_bytes in on_device]
            audio.plot(self._minutes(at_s for at_s, _ in on_device), used_mib, label="memory of the GPU", linewidth=1)
        self._finish(audio, "Buffers", "MiB")
        for process in PROCESSES:
            present = [sample for sample in samples if process in sample.processes]
            minutes = self._minutes(sample.at_s for sample in present)
            threads = [sample.processes[process].threads for sample in present]
            handles.plot(minutes, threads, label=f"threads of {process}", linewidth=1)
            files = [sample.processes[process].files for sample in present]
            handles.plot(minutes, files, label=f"files of {process}", linewidth=1, linestyle=":")
        self._finish(handles, "Threads and open files", "count")
        return _svg(figure)

    def _minutes(self, times_s: Iterable[float]) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return (np.array(list(times_s), dtype=np.float64) - self._start_s) / 60

    def _finish(self, axes: Axes, title: str, unit: str) -> None:
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.set_ylabel(unit)
        axes.set_xlabel("minutes")
        axes.set_xlim(0, self._end_min)
        for name, at_s in self._marks.items():
            at_min = (at_s - self._start_s) / 60
            axes.axvline(at_min, color="#888888", linewidth=0.8, linestyle=":")
            beside = axes.get_xaxis_transform()
            axes.text(
                at_min, 0.98, name, fontsize=6, color="#555555", rotation=90, ha="right", va="top", transform=beside
            )
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _of(entries: Sequence[Entry], kind: str, name: str) -> list[Entry]:
    return [entry for entry in entries if (entry.kind, entry.name, entry.outcome) == (kind, name, "ok")]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    # No window system and no state that pictures share: matplotlib's own objects alone.
    figure = Figure(figsize=(_WIDTH_IN, _ROW_IN * max(1, count)), layout="constrained")
    return figure, list(figure.subplots(max(1, count), 1, squeeze=False)[:, 0])


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
