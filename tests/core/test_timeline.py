"""Times move onto the client's clock, and what was said in the lead goes."""

from dataclasses import replace

from gateway.core.audio import Word
from gateway.core.timeline import placed, without_lead
from tests.core.live.drive import said, segment

WORDS = (Word(" one", 0.0, 0.4, 0.9), Word(" two", 0.4, 1.2, 0.9), Word(" three", 1.2, 2.0, 0.9))
SPOKEN = segment(" one two three", 0.0, 2.0, WORDS)


def test_a_segment_is_placed_within_its_utterance() -> None:
    moved = placed(SPOKEN, start_s=10, duration_s=1.5)
    assert (moved.start_s, moved.end_s) == (10, 11.5)
    assert [(word.start_s, word.end_s) for word in moved.words] == [(10, 10.4), (10.4, 11.2), (11.2, 11.5)]


def test_words_that_end_in_the_lead_go() -> None:
    kept = without_lead(said("one two three", segments=(SPOKEN,)), 1.25)
    assert kept.text == "three"
    (left,) = kept.segments
    assert (left.text, left.tokens, left.start_s, left.end_s) == (" three", (), 1.2 - 1.25, 0.75)
    assert left.words == (replace(WORDS[2], start_s=1.2 - 1.25, end_s=0.75),)


def test_a_first_word_that_seems_to_begin_in_the_lead_stays() -> None:
    # Its middle is in the lead: the model lets it begin where the word before the pause ended.
    assert without_lead(said("one two three", segments=(SPOKEN,)), 1.8).text == "three"


def test_a_last_word_that_seems_to_end_a_little_late_goes() -> None:
    assert without_lead(said("one two three", segments=(SPOKEN,)), 1.15).text == "three"


def test_whole_segments_stay_or_go() -> None:
    segments = (segment(" lead", 0, 1, WORDS[:1]), segment(" bare", 0, 1), segment(" bare", 2, 3), segment(" w", 2, 3))
    kept = without_lead(said("", segments=segments), 1.5)
    assert [(part.text, part.start_s, part.tokens) for part in kept.segments] == [
        (" bare", 0.5, (1, 2)),
        (" w", 0.5, (1, 2)),
    ]
    assert without_lead(said("x", segments=(SPOKEN,)), 0.0).segments == (SPOKEN,)
