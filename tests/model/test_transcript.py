from pathlib import Path

import pytest
import tokenizers
from faster_whisper.tokenizer import Tokenizer

from guard import Hypothesis
from transcript import compression_ratio, segments_of, split_at_timestamps


@pytest.fixture(scope="module")
def tokenizer(weights: Path) -> Tokenizer:
    return Tokenizer(tokenizers.Tokenizer.from_file(str(weights / "tokenizer.json")), multilingual=False)


def phrases(tokenizer: Tokenizer, *parts: str | float) -> list[tuple[float, float, str]]:
    tokens: list[int] = []
    for part in parts:
        if isinstance(part, str):
            tokens += tokenizer.encode(part)
        else:
            tokens.append(tokenizer.timestamp_begin + round(part / 0.02))
    found = split_at_timestamps(tuple(tokens), tokenizer, 10.0)
    return [(start_s, end_s, tokenizer.decode(text)) for start_s, end_s, text in found]


def test_phrases_lie_between_their_timestamps(tokenizer: Tokenizer) -> None:
    assert phrases(tokenizer, 0.0, " One.", 2.0, 2.5, " Two.", 4.0) == [(0.0, 2.0, " One."), (2.5, 4.0, " Two.")]


def test_words_after_the_last_timestamp_are_kept(tokenizer: Tokenizer) -> None:
    assert phrases(tokenizer, 1.0, " One.", 2.0, 2.0, " And") == [(1.0, 2.0, " One."), (2.0, 10.0, " And")]


def test_without_timestamps_there_is_one_phrase(tokenizer: Tokenizer) -> None:
    assert phrases(tokenizer, " One. Two.") == [(0.0, 10.0, " One. Two.")]


def test_times_stay_inside_the_audio_and_in_order(tokenizer: Tokenizer) -> None:
    assert phrases(tokenizer, 5.0, " One.", 4.0, " Two.", 28.0) == [(5.0, 5.0, " One."), (4.0, 10.0, " Two.")]


def test_no_tokens_are_no_phrases(tokenizer: Tokenizer) -> None:
    assert phrases(tokenizer) == []
    assert phrases(tokenizer, 0.0, 3.0) == []


def test_a_loop_compresses_well() -> None:
    assert compression_ratio("Thanks for watching. " * 20) > 2.4 > compression_ratio("Please call the doctor at home.")


def test_a_character_that_was_cut_in_two_is_left_out(tokenizer: Tokenizer) -> None:
    tokens = tuple(tokenizer.encode(" ខ្មែរ"))
    said = Hypothesis(tokens[:-1], "", 0.0, -0.1, 1.0, 0.0, True)
    (segment,) = segments_of(said, tokenizer, 1.0)
    assert segment["text"]
    assert "\ufffd" not in segment["text"]
