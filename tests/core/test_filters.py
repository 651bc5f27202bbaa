"""Honest text: what is not decoded, what is taken out and told, how far it can be trusted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.core.audio import Filtered, Transcript
from gateway.core.filters import (
    Filter,
    Heard,
    Quality,
    QualityLevel,
    apply_filters,
    is_prompt_echo,
    quality,
    silence_reason,
    without_filtered,
)
from tests.core.live.drive import segment

HEARD = Heard(language="en", prompt=None, level=QualityLevel.GOOD)
ALL = frozenset(Filter)


@pytest.mark.parametrize(
    ("length", "loudness", "reason"),
    [(1_599, 1_000, "too_short"), (1_600, 19, "too_quiet"), (1_600, 20, None), (48_000, -32_768, None)],
)
def test_what_no_model_needs_to_hear(length: int, loudness: int, reason: str | None) -> None:
    assert silence_reason(np.full(length, loudness, np.int16)) == reason


def test_one_loud_moment_is_enough() -> None:
    samples = np.zeros(16_000, np.int16)
    samples[8_000:8_100] = 500
    assert silence_reason(samples) is None


@pytest.mark.parametrize(
    ("text", "kept", "reason", "taken"),
    [
        ("No. No. No. No.", "No.", "repeated_text", "No. No. No."),
        ("I am. I am, i am", "I am.", "repeated_text", "I am, i am"),
        ("So it goes on and on and on and on", "So it goes on and on", "repeated_tail", "and on and on"),
        ("So uh, we er left", "So we left", "fillers", "uh, er"),
        ("Um.", "", "fillers", "Um."),
        ("Thanks for watching, see you next time!", "", "silence_phrases", "Thanks for watching, see you next time!"),
    ],
)
def test_what_is_taken_out_is_told(text: str, kept: str, reason: str, taken: str) -> None:
    assert apply_filters(text, ALL, HEARD) == (kept, (Filtered(reason, taken),))


@pytest.mark.parametrize(
    "text",
    [
        *("No, no.", "Thank you.", "He said no no and left", "", "very very well"),
        *("He was taken to the ER.", "The gap is 5 mm wide."),
        "Thank you for watching the kids while I was at work, they love you.",
    ],
)
def test_what_people_say_stays(text: str) -> None:
    assert apply_filters(text, ALL, HEARD) == (text, ())


def test_nothing_is_filtered_unasked() -> None:
    assert apply_filters(" No. No. No. ", frozenset(), HEARD) == ("No. No. No.", ())


def test_a_doubtful_politeness_is_taken_for_invented() -> None:
    heard = replace(HEARD, level=QualityLevel.DOUBTFUL)
    assert apply_filters("Thank you.", ALL, heard)[0] == ""
    assert apply_filters("Thank you all.", ALL, heard)[0] == "Thank you all."


def test_phrases_belong_to_their_language() -> None:
    assert apply_filters("ご視聴ありがとうございました。", ALL, replace(HEARD, language="ja"))[0] == ""
    assert apply_filters("Um. Thanks for watching", ALL, replace(HEARD, language="fi"))[1] == ()
    assert apply_filters("Um", ALL, replace(HEARD, language=None))[1] == ()


def test_the_prompt_is_taken_out_where_it_was_read_aloud() -> None:
    heard = replace(HEARD, prompt="This is a glossary.")
    text, filtered = apply_filters("This is a glossary. Good morning.", ALL, heard)
    assert (text, filtered) == ("Good morning.", (Filtered("prompt_echo", "This is a glossary."),))


@pytest.mark.parametrize(("mark_of_prompt", "mark_of_text"), [("- ", ""), ("", "- ")])
def test_marks_that_stand_alone_are_no_words_of_the_echo(mark_of_prompt: str, mark_of_text: str) -> None:
    heard = replace(HEARD, prompt=f"{mark_of_prompt}Ada met Bob today")
    text = f"{mark_of_text}Ada met Bob today and left"
    assert apply_filters(text, frozenset({Filter.PROMPT_ECHO}), heard)[0] == "and left"


@pytest.mark.parametrize(
    ("text", "prompt", "echo"),
    [
        ("Ada, Grace!", "ada grace", True),
        ("the names are Ada and Grace", "The names are Ada and Grace and Barbara", True),
        ("names are Ada and", "The names are Ada and Grace", True),
        ("The names are Ada. Hello", "The names are Ada", True),
        ("Ada Grace", "The names are Ada Grace", False),
        ("and so the names are Ada", "The names are Ada", False),
        ("Ada and me", "Ada", False),
        ("明天再见", "我们明天再见。", False),
        ("I am so it", "and I am so it was", False),
        ("", "Ada", False),
        ("", "", False),
    ],
)
def test_prompt_echo(text: str, prompt: str, echo: bool) -> None:
    assert is_prompt_echo(text, prompt) is echo


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, Quality(QualityLevel.GOOD)),
        ({"avg_logprob": -0.7}, Quality(QualityLevel.DOUBTFUL, ("doubtful_confidence",))),
        ({"avg_logprob": -1.1}, Quality(QualityLevel.POOR, ("low_confidence",))),
        (
            {"no_speech_prob": 0.7, "compression_ratio": 2.5},
            Quality(QualityLevel.POOR, ("likely_no_speech", "repetitive")),
        ),
    ],
)
def test_quality(figures: dict[str, Any], expected: Quality) -> None:
    assert quality([replace(segment("x"), **figures)]) == expected


def test_quality_weighs_by_duration_and_nothing_is_good() -> None:
    assert quality([segment("x", 0, 9), segment("x", 9, 10, avg_logprob=-3.0)]).level is QualityLevel.GOOD
    assert quality([]) == Quality(QualityLevel.GOOD)


@pytest.mark.parametrize(
    ("logprob", "kept", "taken"),
    [(-0.3, "Thank you.", ()), (-0.7, "", (Filtered("silence_phrases", "Thank you."),))],
)
def test_a_politeness_that_the_model_doubts_is_taken_out_and_told(
    logprob: float, kept: str, taken: tuple[Filtered, ...]
) -> None:
    said = Transcript(" Thank you.", "en", 1.0, (segment(" Thank you.", avg_logprob=logprob),))
    heard = without_filtered(said, ALL, None)
    assert (heard.text, heard.filtered, heard.segments) == (kept, taken, said.segments)


def test_what_nobody_asked_to_filter_stays() -> None:
    said = Transcript(" Um. Um. Um. ", "en", 1.0, (segment(" Um. Um. Um. "),))
    assert without_filtered(said, frozenset(), None) == replace(said, text="Um. Um. Um.")
