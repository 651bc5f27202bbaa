from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from decode import Decoder
from guard import (
    TEMPERATURES,
    Attempt,
    Hypothesis,
    best_of,
    ends_in_repeat,
    is_silence,
    looks_wrong,
    next_attempt,
    nobody_speaks,
)
from jobs import Job
from options import Options
from tests.model.conftest import DecodeAll
from windows import MAX_FRAMES

GOOD = Hypothesis(
    tokens=(1, 2, 3), text="a fine sentence", temperature=0.0, avg_logprob=-0.2, compression_ratio=1.1,
    no_speech_prob=0.1, reached_cap=False,
)  # fmt: skip


@pytest.mark.parametrize(
    "flaw",
    [
        {"compression_ratio": 2.5},
        {"reached_cap": True},
        {"avg_logprob": -1.1},
        {"text": "x" * 90},
        {"text": "It is late. It is late"},
    ],
)
def test_each_flaw_alone_is_seen(flaw: dict[str, object]) -> None:
    assert not looks_wrong(GOOD, Options(), speech_s=2, frames=800)
    assert looks_wrong(replace(GOOD, **flaw), Options(), speech_s=2, frames=800)  # type: ignore[arg-type]  # one field of many types


@pytest.mark.parametrize(
    ("text", "repeat"),
    [
        ("The weather is fine. The weather is fine.", True),
        ("So. The weather is fine, the weather is fine", True),
        ("The weather is fine and the weather is warm", False),
        ("no no no", False),
        ("", False),
    ],
)
def test_a_loop_shows_when_it_starts(text: str, repeat: bool) -> None:
    assert ends_in_repeat(text) is repeat


def test_what_is_said_twice_in_the_full_window_as_well_was_said_twice() -> None:
    twice = replace(GOOD, text="It is late. It is late.")
    assert looks_wrong(twice, Options(), speech_s=4, frames=MAX_FRAMES - 1)
    assert not looks_wrong(twice, Options(), speech_s=4, frames=MAX_FRAMES)


def test_thresholds_are_the_callers() -> None:
    options = Options(compression_ratio_threshold=3.0, log_prob_threshold=-2.0)
    assert not looks_wrong(replace(GOOD, compression_ratio=2.9, avg_logprob=-1.9), options, speech_s=2, frames=800)


def test_silence_needs_both_signs_and_is_not_tried_again() -> None:
    silent = replace(GOOD, no_speech_prob=0.9, avg_logprob=-1.5)
    assert is_silence(silent, Options())
    assert not looks_wrong(silent, Options(), speech_s=2, frames=800)
    assert not is_silence(replace(silent, avg_logprob=-0.5), Options())
    assert not is_silence(replace(silent, no_speech_prob=0.5), Options())


@pytest.mark.parametrize(("first", "wider"), [(800, [1200, 3000]), (2700, [3000]), (3000, [])])
def test_wider_windows_come_first_and_then_the_ladder(first: int, wider: list[int]) -> None:
    attempt: Attempt | None = Attempt(first, 0.0)
    tried = []
    while attempt is not None:
        tried.append((attempt.frames, attempt.temperature))
        attempt = next_attempt(attempt, Options(), GOOD)
    assert tried == [(first, 0.0), *((frames, 0.0) for frames in wider), *((3000, hot) for hot in TEMPERATURES[1:])]


def test_a_temperature_of_the_callers_own_gets_wider_windows_but_no_ladder() -> None:
    options = Options(temperature=0.4)
    assert next_attempt(Attempt(800, 0.4), options, GOOD) == Attempt(1200, 0.4, is_wider=True)
    assert next_attempt(Attempt(1200, 0.4, is_wider=True), options, GOOD) == Attempt(3000, 0.4, is_wider=True)
    assert next_attempt(Attempt(3000, 0.4), options, GOOD) is None
    noise = replace(GOOD, no_speech_prob=0.8)
    assert next_attempt(Attempt(800, 0.4), options, noise) == Attempt(3000, 0.4, is_wider=True)


def test_the_most_probable_that_does_not_loop_is_kept() -> None:
    looped = replace(GOOD, avg_logprob=-0.1, compression_ratio=9.0)
    unsure = replace(GOOD, avg_logprob=-1.4)
    surer = replace(GOOD, avg_logprob=-1.2)
    assert best_of([looped, unsure, surer], Options()) is surer
    assert best_of([looped, replace(looped, avg_logprob=-0.3)], Options()) is looped


@pytest.mark.parametrize(("threshold", "nobody"), [(0.6, True), (0.1, True), (0.9, False)])
def test_a_text_for_what_is_no_speech_is_not_tried_again(threshold: float, nobody: bool) -> None:
    loop = replace(GOOD, no_speech_prob=0.8, compression_ratio=9.0)
    assert nobody_speaks(loop, Options(no_speech_threshold=threshold)) is nobody
    assert not nobody_speaks(replace(loop, no_speech_prob=0.5), Options(no_speech_threshold=threshold))


@pytest.mark.parametrize("timestamps", [False, True])
def test_noise_has_no_text(make_job: Callable[..., Job], decode_all: DecodeAll, timestamps: bool) -> None:
    noise = np.random.default_rng(7).normal(0, 500, 28 * 16_000).astype(np.int16)
    job = make_job(noise, timestamps=timestamps)
    answer = decode_all([job])[job]
    assert isinstance(answer, dict)
    assert (answer["text"], answer["segments"]) == ("", [])
    assert answer["filtered"]["reason"] == "no_speech"


def test_a_text_for_noise_is_not_decoded_again(
    decoder: Decoder, make_job: Callable[..., Job], decode_all: DecodeAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loop(jobs: list[Job], encoded: object) -> list[Hypothesis]:
        return [replace(GOOD, text="la la " * 40, compression_ratio=9.0, no_speech_prob=0.8) for _ in jobs]

    monkeypatch.setattr(decoder, "_generate", loop)
    job = make_job(np.full(80_000, 999, np.int16))
    answer = decode_all([job])[job]
    assert isinstance(answer, dict)
    assert (answer["text"], answer["filtered"]["reason"]) == ("", "no_speech")
    # A few words in a small window may look so too.
    assert (len(job.hypotheses), job.attempt.frames) == (2, MAX_FRAMES)
