"""The real model with its real weights, loaded once, and speech to give it."""

import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from decode import Decoder
from gateway.embedded.weights import fetch
from gateway.settings import from_args
from guard import Attempt
from jobs import Job
from layout import Layout, choose_layout
from options import Options, RequestError

SPEECH = Path(__file__).parent.parent / "fixtures" / "speech"

Answer: TypeAlias = "dict[str, Any] | RequestError"
DecodeAll: TypeAlias = Callable[[list[Job]], dict[Job, Answer]]


@pytest.fixture(scope="session")
def weights() -> Path:
    return fetch("tiny.en", from_args(Namespace(), os.environ).cache_dir, print)


@pytest.fixture(scope="session")
def layout() -> Layout:
    return choose_layout({"device": "cpu"})


@pytest.fixture(scope="session")
def decoder(weights: Path, layout: Layout) -> Decoder:
    return Decoder(weights, layout)


@pytest.fixture(scope="session")
def speech() -> dict[str, NDArray[np.int16]]:
    """Clips of 16 kHz speech by name."""
    return {path.stem: _read(path) for path in sorted(SPEECH.glob("*.flac"))}


@pytest.fixture(scope="session")
def words() -> dict[str, str]:
    """What is said in each clip."""
    lines = (SPEECH / "transcripts.txt").read_text().splitlines()
    return dict(line.split("|", 1) for line in lines)


@pytest.fixture
def make_job(decoder: Decoder) -> Callable[..., Job]:
    def job(samples: NDArray[np.int16], *, cancelled: bool = False, **options: Any) -> Job:
        return decoder.job(
            samples,
            Options(**{"language": "en", **options}),
            is_cancelled=lambda: cancelled,
            reply=lambda outcome: None,
        )

    return job


@pytest.fixture
def decode_all(decoder: Decoder) -> DecodeAll:
    """Decodes a batch to the end, as the workers do: what must be tried again is tried again."""

    def run(batch: list[Job]) -> dict[Job, Answer]:
        answers: dict[Job, Answer] = {}
        while batch:
            again = []
            for job, outcome in decoder.decode(batch):
                if isinstance(outcome, Attempt):
                    job.attempt = outcome
                    again.append(job)
                else:
                    answers[job] = outcome
            batch = again
        return answers

    return run


def _read(path: Path) -> NDArray[np.int16]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate([frame.reshape(-1) for frame in frames]).astype(np.int16)
