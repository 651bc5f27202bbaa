import wave
from pathlib import Path

import numpy as np
import pytest

from loadtests.corpus import (
    FIXTURES,
    JOIN_SILENCE_MS,
    TRANSCRIPTS,
    as_wav,
    join,
    load_corpus,
    parse_transcripts,
    write_wav,
)
from loadtests.errors import BenchError


def tone(folder: Path, name: str, duration_s: float) -> None:
    samples = (8000 * np.sin(np.arange(int(16_000 * duration_s)) / 10)).astype(np.int16)
    write_wav(folder / f"{name}.wav", [samples])


def test_names_come_with_or_without_an_extension() -> None:
    text = "a.wav|One two.\n\nb|three | four\nv1.2|five\n"
    assert parse_transcripts(text) == {"a": "One two.", "b": "three | four", "v1.2": "five"}


@pytest.mark.parametrize("text", ["", "\n", "a\n", "a|\n", "|text\n"])
def test_what_is_no_transcript_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=TRANSCRIPTS):
        parse_transcripts(text)


def test_the_projects_own_speech_is_a_corpus() -> None:
    clips = load_corpus(FIXTURES)
    assert [clip.name for clip in clips][:2] == ["weather", "doctor"]
    assert all(clip.duration_s > 1 and clip.reference for clip in clips)


def test_a_transcript_without_its_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / TRANSCRIPTS).write_text("gone|text\n")
    with pytest.raises(BenchError, match="gone"):
        load_corpus(tmp_path)


def test_a_folder_without_transcripts_says_so(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=TRANSCRIPTS):
        load_corpus(tmp_path)


def test_a_file_that_is_no_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / TRANSCRIPTS).write_text("a|text\n")
    (tmp_path / "a.wav").write_text("text")
    with pytest.raises(BenchError, match=r"a\.wav"):
        load_corpus(tmp_path)


def test_joining_keeps_the_order_and_puts_silence_after_each(tmp_path: Path) -> None:
    tone(tmp_path, "a", 1.0)
    tone(tmp_path, "b", 2.0)
    (tmp_path / TRANSCRIPTS).write_text("b|two\na.wav|one\n")
    clips = load_corpus(tmp_path)
    joined = join(clips, tmp_path / "joined.wav")
    assert (joined.reference, joined.duration_s) == ("two one", 3.0 + 2 * JOIN_SILENCE_MS / 1000)
    assert load_length_s(joined.path) == joined.duration_s


def test_joining_repeats_the_whole_until_it_is_long_enough(tmp_path: Path) -> None:
    tone(tmp_path, "a", 1.0)
    (tmp_path / TRANSCRIPTS).write_text("a|one\n")
    joined = join(load_corpus(tmp_path), tmp_path / "joined.wav", at_least_s=4.0)
    assert (joined.duration_s, joined.reference) == (4.5, "one one one")
    assert load_length_s(joined.path) == 4.5


def test_a_clip_becomes_a_wav_of_the_same_length(tmp_path: Path) -> None:
    clip = load_corpus(FIXTURES)[0]
    assert load_length_s(as_wav(clip, tmp_path).path) == clip.duration_s


def load_length_s(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())
