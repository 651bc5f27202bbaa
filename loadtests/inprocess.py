"""A child process that transcribes with faster-whisper itself, so that its threads and memory are its own.

The first line of standard input is the Plan, each further line a list of paths; each is answered by one JSON line.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import ctranslate2
from faster_whisper import BatchedInferencePipeline, WhisperModel

Transcribe: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to load and how to decode. `workers` callers at once, `threads` for each; `batched` is the pipeline."""

    weights: str
    workers: int
    threads: int
    batched: bool
    beam_size: int
    language: str | None
    timestamps: bool


def main() -> None:
    """Loads the model, says so, and answers until standard input ends."""
    plan = Plan(**json.loads(sys.stdin.readline()))
    transcribe = _loaded(plan)
    # Threads that stay: fresh ones make CTranslate2 keep more memory each time.
    with ThreadPoolExecutor(plan.workers) as callers:
        _reply("ready")
        for line in sys.stdin:
            _reply(list(callers.map(lambda path: _timed(transcribe, path), json.loads(line))))


def _loaded(plan: Plan) -> Transcribe:
    """The decode options are the library's own (temperature ladder, thresholds) but for those of the plan."""
    compute_type = "float16" if ctranslate2.get_cuda_device_count() else "int8"
    model = WhisperModel(plan.weights, compute_type=compute_type, cpu_threads=plan.threads, num_workers=plan.workers)
    recogniser = BatchedInferencePipeline(model) if plan.batched else model

    def transcribe(path: str) -> str:
        segments, _ = recogniser.transcribe(
            path, beam_size=plan.beam_size, language=plan.language, without_timestamps=not plan.timestamps
        )
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def _timed(transcribe: Transcribe, path: str) -> tuple[str, float]:
    started_at_s = time.perf_counter()
    text = transcribe(path)
    return text, time.perf_counter() - started_at_s


def _reply(answer: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
