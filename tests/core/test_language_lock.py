import pytest

from gateway.core.audio import Transcript
from gateway.core.language_lock import LanguageLock


def after(*heard: tuple[str, float], text: str = "words", given: str | None = None) -> str | None:
    lock = LanguageLock(given)
    for language, probability in heard:
        lock.heard(Transcript(text=text, language=language, language_probability=probability))
    return lock.language


@pytest.mark.parametrize(
    ("heard", "language"),
    [
        ([], None),
        ([("de", 0.9)], "de"),
        ([("de", 0.5)], None),
        ([("de", 0.5), ("de", 0.4)], "de"),
        ([("de", 0.5), ("nl", 0.6)], None),
        ([("de", 0.9), ("nl", 0.99)], "de"),
    ],
)
def test_a_sure_detection_or_two_that_agree_decide(heard: list[tuple[str, float]], language: str | None) -> None:
    assert after(*heard) == language


def test_silence_decides_nothing() -> None:
    assert after(("de", 1.0), text="") is None


def test_what_the_client_said_stands() -> None:
    assert after(("de", 1.0), given="fr") == "fr"
