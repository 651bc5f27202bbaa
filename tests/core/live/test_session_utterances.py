"""How a session treats its utterances: partial results, changes of the config, context."""

from dataclasses import replace

import numpy as np

from gateway.core.audio import FRAME_MS, FRAME_SAMPLES, CutReason, DecodeOptions, Filtered, Word, samples_of_ms
from gateway.core.live.effects import (
    CancelPartial,
    Final,
    Notify,
    Partial,
    SpeechBegan,
    SpeechEnded,
    TranscribePartial,
)
from tests.core.live.drive import CONFIG, SEGMENTER, SPEECH, Driver, kinds, messages, said, segment

INTERIM = replace(CONFIG, interim_results=True, partial_interval_ms=100)


def test_a_partial_is_asked_for_each_interval_of_speech() -> None:
    driver = Driver(INTERIM)
    (partial,) = [effect for effect in driver.speak("..#####") if isinstance(effect, TranscribePartial)]
    assert (partial.utterance.index, len(partial.utterance.samples), partial.model) == (0, 5 * FRAME_SAMPLES, "base")
    assert partial.options == DecodeOptions(beam_size=1, once=True)
    assert driver.speak("###") == []
    assert driver.session.receive_partial(0, said("he")) == [Notify(Partial(0, "he", ""))]
    assert kinds(driver.speak("##")) == ["TranscribePartial"]
    assert driver.session.receive_partial(0, said("he says")) == [Notify(Partial(0, "he says", "he"))]


def test_what_is_stable_belongs_to_its_utterance() -> None:
    driver = Driver(INTERIM)
    driver.speak("..#####")
    driver.session.receive_partial(0, said("one"))
    driver.speak("...")
    driver.answer(0, said("one"))
    driver.speak("..#####")
    assert driver.session.receive_partial(1, said("one")) == [Notify(Partial(1, "one", ""))]


def test_a_partial_without_capacity_is_due_again_later() -> None:
    driver = Driver(INTERIM)
    driver.speak("..#####")
    driver.session.skip_partial(0)
    assert driver.speak("###") == []
    assert kinds(driver.speak("#")) == ["TranscribePartial"]
    driver.session.skip_partial(3)
    assert driver.speak("#####") == []


def test_a_partial_without_its_text_is_not_told_and_due_again_later() -> None:
    driver = Driver(INTERIM)
    driver.speak("..#####")
    unsure = replace(said(""), filtered=(Filtered("unsure", "he he he he"),))
    assert driver.session.receive_partial(0, unsure) == []
    assert driver.speak("###") == []
    assert kinds(driver.speak("#")) == ["TranscribePartial"]


def test_no_partial_is_asked_for_what_no_final_is_asked_for() -> None:
    driver = Driver(INTERIM)
    assert kinds(driver.send(np.zeros(7 * FRAME_SAMPLES, np.int16), [0, 0, 1, 1, 1, 1, 1])) == ["SpeechBegan"]
    loud = np.full(FRAME_SAMPLES, 9_000, np.int16)
    for _ in range(3):
        assert driver.send(loud, [1]) == []
    assert kinds(driver.send(loud, [1])) == ["TranscribePartial"]


def test_the_cut_cancels_the_partial_and_its_answer_does_nothing() -> None:
    driver = Driver(INTERIM)
    driver.speak("..#####")
    effects = driver.speak("...")
    assert CancelPartial(0) in effects
    assert driver.session.receive_partial(0, said("late")) == []


def test_no_partials_while_finals_wait() -> None:
    driver = Driver(INTERIM)
    driver.speak(SPEECH * 2)
    assert driver.speak("..#####") == [Notify(SpeechBegan(2, 22 * FRAME_MS + 20))]
    driver.answer(0, said("one"))
    assert kinds(driver.speak("#")) == ["TranscribePartial"]


def test_clear_throws_the_open_utterance_away() -> None:
    driver = Driver(INTERIM)
    driver.speak("..#####")
    assert driver.session.clear(now_s=100) == [CancelPartial(0)]
    assert driver.session.clear(now_s=100) == []
    assert driver.session.account.dropped_ms == 6 * FRAME_MS
    assert driver.speak("..##")[0] == Notify(SpeechBegan(0, 8 * FRAME_MS))


def test_a_new_config_waits_for_the_open_utterance() -> None:
    driver = Driver()
    driver.speak("..####")
    other = replace(CONFIG, model="small", segmenter=replace(SEGMENTER, silence_ms=10 * FRAME_MS))
    driver.session.configure(other, now_s=100)
    assert driver.session.config is other
    assert kinds(driver.speak("...")) == ["SpeechEnded", "Transcribe"]
    assert driver.speak("..######...") == [Notify(SpeechBegan(1, 10 * FRAME_MS))]
    assert kinds(driver.speak("." * 7)) == ["SpeechEnded"]
    assert [asked.model for asked in driver.asked] == ["base"]
    driver.answer(0, said("one"))
    assert [asked.model for asked in driver.asked] == ["base", "small"]


def test_a_new_config_does_not_wait_for_a_pause() -> None:
    driver = Driver()
    driver.speak("..####")
    driver.session.configure(replace(CONFIG, options=DecodeOptions(language="de")), now_s=100)
    driver.speak("#" * 60)
    driver.answer(0, said("one"))
    assert [asked.options.language for asked in driver.asked[:2]] == [None, "de"]


def test_endpointing_ends_what_was_begun_without() -> None:
    driver = Driver(replace(CONFIG, endpointing=False))
    driver.speak("......##")
    driver.session.configure(CONFIG, now_s=100)
    assert kinds(driver.speak("##...")) == ["SpeechEnded", "Transcribe"]
    assert kinds(driver.speak("..####...")) == ["SpeechBegan", "SpeechEnded"]


def test_a_config_with_the_same_language_keeps_what_was_learned() -> None:
    driver = Driver()
    driver.speak(SPEECH)
    driver.answer(0, said("one", language_probability=0.9))
    driver.session.configure(replace(CONFIG, quality=True), now_s=100)
    driver.speak(SPEECH)
    assert driver.asked[1].options.language == "en"


def test_a_config_with_other_languages_forgets_the_one_that_was_locked() -> None:
    driver = Driver(replace(CONFIG, options=DecodeOptions(languages=("en", "de"))))
    driver.speak(SPEECH)
    driver.answer(0, said("one", language_probability=0.9))
    driver.session.configure(replace(CONFIG, options=DecodeOptions(languages=("fr", "es"))), now_s=100)
    driver.speak(SPEECH)
    assert (driver.asked[1].options.language, driver.asked[1].options.languages) == (None, ("fr", "es"))


def test_without_endpointing_only_the_client_cuts() -> None:
    driver = Driver(replace(CONFIG, endpointing=False, segmenter=replace(SEGMENTER, max_utterance_ms=1_000)))
    assert driver.speak("." * 40) == [Notify(SpeechBegan(0, 0, detected=False))]
    driver.now_s += 5
    assert driver.session.tick(driver.now_s) == []
    assert driver.session.buffered_samples == samples_of_ms(800)
    effects = driver.session.finalize(now_s=driver.now_s)
    assert messages(effects, SpeechEnded) == [SpeechEnded(0, 800, CutReason.FINALIZE, detected=False)]


def test_reset_forgets_also_what_is_on_its_way() -> None:
    driver = Driver(replace(CONFIG, text_context=True))
    driver.speak(SPEECH)
    driver.session.reset(now_s=100)
    driver.answer(0, said("One two.", language_probability=0.9))
    driver.speak(SPEECH)
    assert (driver.asked[1].options.prompt, driver.asked[1].options.language) == (None, None)


def test_the_sentence_before_is_the_prompt_and_the_language_stays() -> None:
    driver = Driver(replace(CONFIG, text_context=True))
    driver.speak(SPEECH)
    driver.answer(0, said("One. Two three.", language_probability=0.9))
    driver.speak(SPEECH)
    assert (driver.asked[1].options.prompt, driver.asked[1].options.language) == ("Two three.", "en")


def test_an_echo_of_the_prompt_is_decoded_again_without_it() -> None:
    driver = Driver(replace(CONFIG, options=DecodeOptions(prompt="Names: Ada, Grace, Barbara")))
    driver.speak(SPEECH)
    assert kinds(driver.answer(0, said("Names Ada Grace Barbara"))) == ["Transcribe"]
    assert driver.asked[1].options.prompt is None
    (final,) = messages(driver.answer(0, said("Names Ada Grace Barbara")), Final)
    assert final.text == "Names Ada Grace Barbara"


def test_the_sound_before_is_put_in_front_and_its_words_are_taken_out() -> None:
    driver = Driver(replace(CONFIG, audio_context_ms=100))
    driver.speak(SPEECH)
    driver.answer(0, said("one"))
    driver.speak(SPEECH)
    first, second = (asked.utterance for asked in driver.asked)
    lead = 5 * FRAME_SAMPLES
    np.testing.assert_array_equal(second.samples[:lead], first.samples[-lead:])
    assert second.start_sample + lead == 12 * FRAME_SAMPLES
    assert driver.asked[1].options.word_timestamps
    spoken = segment("one two", 0.0, 0.3, (Word("one", 0.0, 0.1, 0.9), Word(" two", 0.1, 0.3, 0.9)))
    (final,) = messages(driver.answer(1, said("one two", segments=(spoken,))), Final)
    assert final.text == "two"


def test_where_little_but_the_sound_before_was_heard_it_is_decoded_again_without_it() -> None:
    driver = Driver(replace(CONFIG, audio_context_ms=100))
    driver.speak(SPEECH)
    driver.answer(0, said("one"))
    driver.speak(SPEECH)
    assert kinds(driver.answer(1, said("one"))) == ["Transcribe"]
    again = driver.asked[2].utterance
    assert (again.index, again.start_sample) == (1, 12 * FRAME_SAMPLES)
    (final,) = messages(driver.answer(1, said("")), Final)
    assert final.text == ""
