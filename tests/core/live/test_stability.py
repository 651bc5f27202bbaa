"""What is stable stays: LocalAgreement-2 over growing hypotheses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.live.stability import Agreement


def follow(*hypotheses: str) -> list[tuple[str, str]]:
    agreement = Agreement()
    return [(agreement.update(text), agreement.stable_text) for text in hypotheses]


def test_what_two_in_a_row_say_is_stable() -> None:
    assert follow("I", "I saw", "I saw the cat", "I saw the hat there") == [
        ("I", ""),
        ("I saw", "I"),
        ("I saw the cat", "I saw"),
        ("I saw the hat there", "I saw the"),
    ]


def test_case_and_punctuation_do_not_matter_and_the_newer_form_counts() -> None:
    assert follow("hello world.", "Hello, world and", "Hello, World! And you") == [
        ("hello world.", ""),
        ("Hello, world and", "Hello, world"),
        ("Hello, world! And you", "Hello, world! And"),
    ]


def test_a_full_stop_at_the_end_of_the_audio_is_not_stable() -> None:
    assert follow("We went.", "We went.", "We went home.") == [
        ("We went.", ""),
        ("We went.", "We went"),
        ("We went home.", "We went"),
    ]


def test_a_word_more_or_less_before_the_end_does_not_repeat_anything() -> None:
    assert follow("you can not do", "you can not do it", "you cannot do it now", "you cannot do it now")[-1] == (
        "you can not do it now",
        "you can not do it now",
    )
    assert follow("a b c", "a b c", "x a b c d", "x a b c d")[-1][1] == "a b c d"


def test_a_shorter_hypothesis_takes_nothing_back() -> None:
    assert follow("one two three", "one two three", "one", "one two three four", "one two three four") == [
        ("one two three", ""),
        ("one two three", "one two three"),
        ("one two three", "one two three"),
        ("one two three four", "one two three"),
        ("one two three four", "one two three four"),
    ]


def test_nothing_in_common_changes_nothing() -> None:
    assert follow("one two", "one two", "three four five", "six")[-2:] == [
        ("one two five", "one two"),
        ("one two", "one two"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "stable"),
    [
        ("今天天气", "今天天氣很好", "今天天"),
        ("我用 Python 写", "我用 Python 写的", "我用 Python 写"),
        ("สวัส", "สวัสดี", "สวัส"),
    ],
)
def test_scripts_without_spaces_grow_by_characters(first: str, second: str, stable: str) -> None:
    assert follow(first, second)[-1][1] == stable


def test_nothing_said_is_nothing_stable() -> None:
    assert follow("", " ", "...", "...") == [("", ""), ("", ""), ("...", ""), ("...", "")]


@given(st.lists(st.lists(st.sampled_from(["I", "i", "the", "The,", "cat.", "—", "猫", "!", "can't"]), max_size=8)))
def test_stable_text_only_grows_and_begins_what_is_shown(hypotheses: list[list[str]]) -> None:
    agreement = Agreement()
    for words in hypotheses:
        before = agreement.stable_text
        shown = agreement.update(" ".join(words))
        assert agreement.stable_text.startswith(before)
        assert shown.startswith(agreement.stable_text)
