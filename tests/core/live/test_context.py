"""What a session remembers, and what of it the next utterance is decoded with."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.core.audio import DecodeOptions, Transcript, Word
from gateway.core.live.context import MAX_PROMPT_BYTES, Context, last_sentence
from gateway.core.live.session_config import SessionConfig
from tests.core.live.drive import audio_of, said, segment

CONFIG = SessionConfig(model="base", text_context=True, audio_context_ms=100)
TEXT = replace(CONFIG, audio_context_ms=0)


def learned(*transcripts: Transcript, config: SessionConfig = CONFIG) -> Context:
    context = Context()
    for transcript in transcripts:
        context.learn(config, audio_of(10), transcript, transcript.text)
    return context


def test_at_first_there_is_nothing() -> None:
    assert Context().options(CONFIG) == CONFIG.options
    assert len(Context().lead(CONFIG)) == 0


@pytest.mark.parametrize(
    ("transcripts", "language"),
    [
        ([said("a", language="de", language_probability=0.8)], "de"),
        ([said("a", language="de")], None),
        ([said("a", language="de"), said("b", language="de")], "de"),
        ([said("a", language="de"), said("b", language="nl")], None),
        ([said("", language="de", language_probability=0.9)], None),
        (
            [said("a", language="de", language_probability=0.9), said("b", language="nl", language_probability=0.9)],
            "de",
        ),
    ],
)
def test_the_language_is_locked_once_it_is_sure(transcripts: list[Transcript], language: str | None) -> None:
    assert learned(*transcripts).options(CONFIG).language == language


def test_a_language_that_was_given_teaches_nothing() -> None:
    given = replace(CONFIG, options=DecodeOptions(language="fr"))
    context = learned(said("a", language="fr", language_probability=1.0), config=given)
    assert context.language is None
    assert context.options(given).language == "fr"


def test_the_sentence_before_follows_the_clients_prompt_if_both_fit() -> None:
    context = learned(said("One. Two!"), config=TEXT)
    assert context.options(TEXT).prompt == "Two!"
    assert context.options(replace(TEXT, options=DecodeOptions(prompt="Names: Ada."))).prompt == "Names: Ada. Two!"
    long = "x" * (MAX_PROMPT_BYTES - 4)
    assert context.options(replace(TEXT, options=DecodeOptions(prompt=long))).prompt == long


def test_hotwords_leave_less_room_for_the_sentence_before() -> None:
    context = learned(said("One. Two!"), config=TEXT)
    hotwords = "x" * (MAX_PROMPT_BYTES - 4)
    assert context.options(replace(TEXT, options=DecodeOptions(hotwords=hotwords))).prompt == "Two!"
    assert context.options(replace(TEXT, options=DecodeOptions(hotwords=hotwords + "x"))).prompt is None


def test_what_is_in_the_lead_is_not_in_the_prompt() -> None:
    # Ten frames are 0.2 s, of which the last 0.1 s are put in front of the next utterance.
    words = (Word(" One.", 0.0, 0.05, 0.9), Word(" Two", 0.05, 0.1, 0.9), Word(" three.", 0.1, 0.2, 0.9))
    context = learned(said("One. Two three.", segments=(segment("One. Two three.", 0.0, 0.2, words),)))
    assert context.options(CONFIG).prompt == "Two"
    assert learned(said("Without times.")).options(CONFIG).prompt == "Without times."


def test_what_was_filtered_is_no_prompt() -> None:
    words = (Word(" One.", 0.0, 0.05, 0.9), Word(" Two", 0.05, 0.1, 0.9), Word(" two.", 0.1, 0.2, 0.9))
    context = Context()
    context.learn(
        CONFIG, audio_of(10), said("One. Two two.", segments=(segment("One. Two two.", 0.0, 0.2, words),)), "One."
    )
    assert context.options(CONFIG).prompt is None


def test_a_text_from_a_high_temperature_is_no_prompt() -> None:
    heard = said("a b", segments=(segment("a b", temperature=0.6),))
    assert learned(heard, config=TEXT).options(TEXT).prompt is None


def test_without_context_nothing_is_kept() -> None:
    plain = replace(CONFIG, text_context=False, audio_context_ms=0)
    context = learned(said("One."), config=plain)
    assert context.options(CONFIG).prompt is None
    assert len(context.lead(CONFIG)) == 0


def test_the_lead_is_the_end_of_the_sound_before() -> None:
    context = learned(said("a"))
    np.testing.assert_array_equal(context.lead(CONFIG), audio_of(10)[-1_600:])
    np.testing.assert_array_equal(context.lead(replace(CONFIG, audio_context_ms=50)), audio_of(10)[-800:])
    assert len(context.lead(replace(CONFIG, audio_context_ms=0))) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ""),
        ("One. Two? Three", "Three"),
        ("One. Two? ", "Two?"),
        ("今天。明天。", "明天。"),
        ("a " * 200 + "end", ("a " * 108 + "end")),
        ("语" * 100, "语" * 55),
    ],
)
def test_last_sentence(text: str, sentence: str) -> None:
    assert last_sentence(text) == sentence
    assert len(sentence.encode()) <= MAX_PROMPT_BYTES


def test_a_text_can_be_remembered_for_a_config_that_follows() -> None:
    context = learned(said("One."), config=replace(CONFIG, text_context=False, keeps_text=True))
    assert context.options(CONFIG).prompt == "One."


def test_a_copy_learns_for_itself() -> None:
    context = Context()
    context.copy().learn(CONFIG, audio_of(10), said("One.", language_probability=0.9), "One.")
    assert context.empty


@pytest.mark.parametrize(
    ("audio", "text", "left"),
    [(True, True, (None, None, 0)), (True, False, ("One.", None, 0)), (False, True, (None, "de", 1_600))],
)
def test_each_kind_of_memory_is_forgotten_by_itself(audio: bool, text: bool, left: tuple[object, ...]) -> None:
    context = learned(said("One.", language="de", language_probability=0.9))
    context.forget(audio=audio, text=text)
    options = context.options(CONFIG)
    assert (options.prompt, options.language, len(context.lead(CONFIG))) == left
    assert context.empty == (audio and text)


def test_without_the_lock_each_utterance_is_asked_for_its_language() -> None:
    open_config = replace(CONFIG, language_lock=False)
    heard = said("a", language="de", language_probability=0.9)
    assert learned(heard, config=open_config).options(open_config).language is None
