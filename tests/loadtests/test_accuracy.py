import pytest

from loadtests.accuracy import is_looped, normalizer_for, word_error_rate


def test_spelling_and_case_are_no_errors_and_a_wrong_word_is_one() -> None:
    normalize = normalizer_for("en")
    said = [normalize("The colour of Mr. Brown's door."), normalize("Ten doors.")]
    assert word_error_rate(said, [normalize("the color of mister brown's door"), normalize("10 doors")]) == 0
    assert word_error_rate(said, [*said[:1], normalize("10 floors")]) == pytest.approx(
        100 / len(" ".join(said).split())
    )


def test_what_is_read_out_in_brackets_counts() -> None:
    assert normalizer_for(None)("dated (in [Mainz])") == "dated in mainz"


def test_other_languages_keep_their_own_words() -> None:
    assert normalizer_for("de")("Zwei Häuser, bitte!") == "zwei häuser bitte"


@pytest.mark.parametrize(
    ("reference", "text", "looped"),
    [
        ("one two three", "one two three", False),
        ("one two three", "one two three" + " three" * 3, True),
        ("so it goes", "so it goes and on and on and on and on", True),
        ("no no no no", "no no no no", False),
        ("a b", " ".join("abcdefghij"), True),
        ("a b c", "", False),
    ],
)
def test_a_loop_is_what_nobody_said_so_often(reference: str, text: str, looped: bool) -> None:
    assert is_looped(reference, text) is looped
