"""The model's own metrics, shown on Triton's /metrics beside its own."""

import threading
from typing import Any

import psutil


class Meters:
    """Counters and gauges by name. `backend` is triton_python_backend_utils.

    Any thread may count; one thread publishes, because Triton 2.51 dies of metrics that two threads touch at once.
    """

    def __init__(self, backend: Any, model: str) -> None:
        self._labels = {"model": model}
        counter, gauge = backend.MetricFamily.COUNTER, backend.MetricFamily.GAUGE

        def family(name: str, description: str, kind: Any) -> Any:
            return backend.MetricFamily(name=f"tritone_model_{name}", description=description, kind=kind)

        # The families must outlive their metrics, or Triton drops both.
        self._families = {
            "batches": family("batches_total", "Batches encoded, by number of utterances", counter),
            "windows": family("windows_total", "Utterances encoded, by window in mel frames", counter),
            "audio_s": family("audio_seconds_total", "Seconds of audio answered", counter),
            "busy_s": family("busy_seconds_total", "Seconds that workers spent on batches", counter),
            "wasted_s": family("wasted_seconds_total", "Seconds spent on utterances nobody waited for", counter),
            "abandoned": family("abandoned_total", "Utterances whose caller left or whose deadline passed", counter),
            "guarded": family("guard_hits_total", "Right-sized results decoded again in a wider window", counter),
            "fallbacks": family("fallback_rounds_total", "Utterances decoded again at a higher temperature", counter),
            "continued": family("continuations_total", "Utterances whose unheard rest was decoded by itself", counter),
            "failures": family("failures_total", "Utterances that failed in the model", counter),
            "pending": family("pending_utterances", "Utterances waiting or being decoded in the model", gauge),
            "resident_bytes": family("resident_bytes", "Resident memory of the model's process", gauge),
        }
        self._metrics: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._process = psutil.Process()

    def add(self, name: str, amount: float = 1, **label: str) -> None:
        """Add to a counter, optionally of one label value."""
        key = (name, tuple(label.items()))
        with self._lock:
            self._counted[key] = self._counted.get(key, 0.0) + amount

    def publish(self, pending: int) -> None:
        """Hand everything counted since the last call to Triton. Always from the same thread."""
        with self._lock:
            counted, self._counted = self._counted, {}
        for key, amount in counted.items():
            self._metric(key).increment(amount)
        self._metric(("pending", ())).set(pending)
        self._metric(("resident_bytes", ())).set(self._process.memory_info().rss)

    def _metric(self, key: tuple[str, tuple[tuple[str, str], ...]]) -> Any:
        if key not in self._metrics:
            name, label = key
            self._metrics[key] = self._families[name].Metric(labels=self._labels | dict(label))
        return self._metrics[key]
