import pytest

from gateway.core.audio import Segment, Task, Transcript, Word
from gateway.core.stitching import Part, stitch


def part(text: str, *, language: str = "en", start_s: float = 0.0, duration_s: float = 2.0) -> Part:
    word = Word(text, 0.5, 9.0, 0.9)
    segment = Segment(text, 0.25, 9.0, (1,), 0.0, -0.1, 1.0, 0.0, (word,))
    return Part(start_s, duration_s, Transcript(text, language, 0.9, (segment,)))


def stitched(*parts: Part, task: Task = Task.TRANSCRIBE, language: str | None = None) -> tuple[str, str | None]:
    transcript = stitch(parts, duration_s=10, task=task, language=language)
    return transcript.text, transcript.language


def test_parts_are_joined_by_one_space() -> None:
    assert stitched(part(" a "), part(""), part(" c")) == ("a c", "en")


def test_times_are_the_files_and_never_past_the_utterance() -> None:
    transcript = stitch([part("a", start_s=7.5)], duration_s=10, task=Task.TRANSCRIBE, language=None)
    placed = transcript.segments[0]
    assert (placed.segment.start_s, placed.segment.end_s, placed.seek_frames) == (7.75, 9.5, 750)
    assert (placed.segment.words[0].start_s, placed.segment.words[0].end_s) == (8.0, 9.5)


def test_the_language_is_that_of_most_of_the_speech() -> None:
    parts = part("a", language="de"), part("b", language="de"), part("c", language="fr", duration_s=5)
    assert stitched(*parts)[1] == "fr"
    assert stitched(*parts, language="de")[1] == "de"


def test_nothing_said_has_no_language() -> None:
    assert stitched() == ("", None)
    assert stitched(part("", language="cy")) == ("", None)
    assert stitched(part("", duration_s=60), part("Tag", language="de"))[1] == "de"


@pytest.mark.parametrize(("task", "text"), [(Task.TRANSCRIBE, "甲乙"), (Task.TRANSLATE, "甲 乙")])
def test_scripts_without_spaces_get_none(task: Task, text: str) -> None:
    assert stitched(part("甲", language="zh"), part("乙", language="zh"), task=task)[0] == text


def test_a_script_without_spaces_decides_about_its_own_part() -> None:
    assert stitched(part("a"), part("甲", language="zh"), part("b"))[0] == "a甲 b"
