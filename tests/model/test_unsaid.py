"""What a result leaves unsaid is found, heard, and put behind what was said."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ctranslate2
import numpy as np
import pytest
from numpy.typing import NDArray

from decode import Decoder
from guard import Hypothesis
from jobs import Job
from tests.model.conftest import DecodeAll
from unsaid import shifted, unsaid_from_s
from words import add_words

BEGIN = 1_000
HEARD = Hypothesis((), "", 0.0, -0.2, 1.0, 0.0, reached_cap=False)


def at(time_s: float) -> int:
    return BEGIN + round(time_s / 0.02)


@pytest.mark.parametrize(
    ("tokens", "from_s"),
    [
        ((at(0), 5, 6, at(3), at(3)), 3.0),
        ((at(0), 5, at(2), at(2.5), 6, at(3.0), at(3.4)), 3.4),
        ((at(0), 5, 6, at(3)), None),
        ((at(0), 5, at(3), at(3), 6), None),
        ((at(0), 5, 6, at(9.1), at(9.1)), None),
        ((at(0), at(0)), None),
        ((5, 6), None),
        ((), None),
    ],
)
def test_two_timestamps_at_the_end_say_that_more_follows(tokens: tuple[int, ...], from_s: float | None) -> None:
    assert unsaid_from_s(replace(HEARD, tokens=tokens), BEGIN, 10.0) == (from_s and pytest.approx(from_s))


def test_words_move_with_their_segment() -> None:
    word = {"text": "a", "start_s": 0.1, "end_s": 0.2}
    moved = shifted([{"text": "a", "start_s": 0.0, "end_s": 1.0, "words": [word]}], 2.5)
    assert moved == [{"text": "a", "start_s": 2.5, "end_s": 3.5, "words": [word | {"start_s": 2.6, "end_s": 2.7}]}]
    assert shifted([{"start_s": 0.0, "end_s": 1.0}], 1.0) == [{"start_s": 1.0, "end_s": 2.0}]


@pytest.mark.parametrize("words", [False, True])
def test_a_result_that_stops_in_the_middle_is_gone_on_with(
    decoder: Decoder,
    speech: dict[str, NDArray[np.int16]],
    make_job: Callable[..., Job],
    decode_all: DecodeAll,
    monkeypatch: pytest.MonkeyPatch,
    words: bool,
) -> None:
    first, pause = speech["weather"], np.zeros(8_000, np.int16)
    samples = np.concatenate([first, pause, speech["doctor"]])
    stops_s = round((len(first) + len(pause)) / 16_000, 2)
    generate, calls = decoder._generate, list[int]()

    def stopping(jobs: list[Job], encoded: ctranslate2.StorageView) -> Iterator[Hypothesis]:
        calls.append(len(jobs))
        for job, hypothesis in zip(jobs, generate(jobs, encoded), strict=True):
            begin = decoder._tokenizer(job).timestamp_begin
            if len(calls) == 1:
                ended = next(n for n, token in enumerate(hypothesis.tokens) if n and token >= begin)
                stop = begin + round(stops_s / 0.02)
                yield replace(hypothesis, tokens=(*hypothesis.tokens[:ended], stop, stop))
            else:
                yield hypothesis

    aligned_frames: list[list[int]] = []

    def aligning(*arguments: Any) -> None:
        aligned_frames.append(arguments[-1])
        add_words(*arguments)

    monkeypatch.setattr(decoder, "_generate", stopping)
    monkeypatch.setattr("decode.add_words", aligning)
    job = make_job(samples, timestamps=True, word_timestamps=words)
    answer = decode_all([job])[job]
    assert isinstance(answer, dict)
    assert len(calls) == 2
    assert "weather" in answer["text"]
    assert "doctor" in answer["text"]
    starts = [segment["start_s"] for segment in answer["segments"]]
    assert starts == sorted(starts)
    assert starts[0] < stops_s <= starts[-1]
    assert job.start_s + job.duration_s == pytest.approx(len(samples) / 16_000, abs=0.02)
    if words:
        told = [word for segment in answer["segments"] for word in segment["words"]]
        times_s = [time_s for word in told for time_s in (word["start_s"], word["end_s"])]
        assert times_s == sorted(times_s)
        assert times_s[-1] > stops_s
        # The words before it are looked for where they were said.
        assert aligned_frames[0] == [int(stops_s * 100)]
    assert answer["text"] == "".join(segment["text"] for segment in answer["segments"]).strip()


def test_a_rest_without_speech_takes_nothing_away(
    speech: dict[str, NDArray[np.int16]], make_job: Callable[..., Job], decode_all: DecodeAll
) -> None:
    job = make_job(np.zeros(32_000, np.int16), timestamps=True)
    job.said, job.start_s = [{"text": " What was said.", "start_s": 0.0, "end_s": 1.0}], 2.0
    answer = decode_all([job])[job]
    assert isinstance(answer, dict)
    assert (answer["text"], "filtered" in answer) == ("What was said.", False)
