"""Words: split without loss, compared without form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.words import compared, normalized, split_words, without_tail


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello, big world !", ["Hello,", " big", " world !"]),
        ("- yes", ["-", " yes"]),
        ("今天，好。", ["今", "天，", "好。"]),
        ("我用Python", ["我", "用", "Python"]),
        ("กี่", ["กี่"]),
        ("", []),
    ],
)
def test_split(text: str, pieces: list[str]) -> None:
    assert split_words(text) == pieces


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    assert "".join(split_words(text)) == text.rstrip() or not text.strip()


def test_what_is_compared() -> None:
    assert normalized(" “Don't!” ") == "dont"
    assert compared("- STRASSE, straße") == ["strasse", "strasse"]
    assert without_tail("C++,") == "C"
    assert without_tail("...") == ""
