import re

import pytest

from loadtests.crowd import speech


def test_every_clip_knows_where_its_speech_is() -> None:
    for clip in speech.clips():
        assert 0 <= clip.speech_start_s < 0.5
        assert clip.duration_s - 0.5 < clip.speech_end_s <= clip.duration_s


def test_every_format_is_there() -> None:
    endings = {file.name.rpartition(".")[2] for file in speech.short_files()}
    assert endings == {"wav", "flac", "mp3", "ogg", "webm", "mp4"}
    assert len(speech.long_file().data) > 2_000_000


@pytest.mark.parametrize("clip", speech.clips(), ids=lambda clip: clip.name)
def test_the_words_of_every_other_clip_are_wrong(clip: speech.Spoken) -> None:
    assert speech.wrong_words(clip.reference, clip.reference.upper()) is None
    for other in speech.clips():
        if other is not clip:
            wrong = speech.wrong_words(clip.reference, other.reference)
            assert wrong
            assert re.fullmatch(r"\d+ % of \d+ words are wrong \(\d+ were told\)", wrong)


def test_lost_and_repeated_sentences_are_wrong() -> None:
    library = next(clip for clip in speech.clips() if clip.name == "library")
    assert speech.wrong_words(library.reference, "")
    assert speech.wrong_words(library.reference, library.reference.partition(".")[0])
    assert speech.wrong_words(library.reference, f"{library.reference} {library.reference}")
    assert speech.wrong_words("The weather is fine today.", "the weather is fine") is None
