"""The real model with its real weights, loaded once, and speech to give it."""

import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from decode import Decoder
from gateway.embedded.weights import fetch
from gateway.flags import from_args
from guard import Attempt
from jobs import Job
from layout import Layout, choose_layout
from options import Options, RequestError
from tests.fixtures.audio_files import TRANSCRIPTS
from tests.fixtures.audio_files import speech as clip

Answer: TypeAlias = "dict[str, Any] | RequestError"
DecodeAll: TypeAlias = Callable[[list[Job]], dict[Job, Answer]]


@pytest.fixture(scope="session")
def weights() -> Path:
    return fetch("tiny.en", from_args(Namespace(), os.environ).cache_dir, print)


@pytest.fixture(scope="session")
def layout() -> Layout:
    return choose_layout({"device": "cpu", "max_pending": "4"})


@pytest.fixture(scope="session")
def decoder(weights: Path, layout: Layout) -> Decoder:
    return Decoder(weights, layout)


@pytest.fixture(scope="session")
def speech() -> dict[str, NDArray[np.int16]]:
    """Clips of 16 kHz speech by name."""
    return {name: clip(name) for name in TRANSCRIPTS}


@pytest.fixture(scope="session")
def words() -> dict[str, str]:
    """What is said in each clip."""
    return TRANSCRIPTS


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
