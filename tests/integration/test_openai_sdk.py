from pathlib import Path

import jiwer
import openai
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

SPEECH = Path(__file__).parent.parent / "fixtures" / "speech"
SAID = dict(line.split("|", 1) for line in (SPEECH / "transcripts.txt").read_text().splitlines() if line)
NORMALIZED = EnglishTextNormalizer()


def wrong_words(name: str, text: str) -> float:
    """The share of words that are wrong."""
    rate: float = jiwer.wer(NORMALIZED(SAID[name]), NORMALIZED(text))
    return rate


@pytest.mark.parametrize("name", sorted(SAID))
def test_json_has_the_right_words(client: openai.OpenAI, name: str) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=SPEECH / f"{name}.flac")
    assert wrong_words(name, answer.text) <= 0.1


def test_text(client: openai.OpenAI) -> None:
    text = client.audio.transcriptions.create(
        model="tiny.en", file=SPEECH / "doctor.flac", response_format="text", language="en", temperature=0
    )
    assert wrong_words("doctor", text) == 0
    assert text.endswith("\n")


def test_srt(client: openai.OpenAI) -> None:
    text = client.audio.transcriptions.create(model="whisper-1", file=SPEECH / "train.flac", response_format="srt")
    cues = [cue.split("\n", 2) for cue in text.strip().split("\n\n")]
    assert [cue[0] for cue in cues] == [str(number) for number in range(1, len(cues) + 1)]
    assert all(" --> " in cue[1] and "," in cue[1] for cue in cues)
    assert wrong_words("train", " ".join(cue[2] for cue in cues)) <= 0.1


def test_vtt(client: openai.OpenAI) -> None:
    text = client.audio.transcriptions.create(model="whisper-1", file=SPEECH / "train.flac", response_format="vtt")
    head, *cues = text.strip().split("\n\n")
    assert head == "WEBVTT"
    assert wrong_words("train", " ".join(cue.split("\n", 1)[1] for cue in cues)) <= 0.1


def test_verbose_json(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=SPEECH / "library.flac",
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )
    assert answer.language == "english"
    assert answer.segments
    starts = [segment.start for segment in answer.segments]
    assert starts == sorted(starts)
    assert answer.segments[-1].end <= float(answer.duration)
    assert all(segment.avg_logprob < 0 < segment.compression_ratio for segment in answer.segments)
    assert wrong_words("library", answer.text) <= 0.1
    assert wrong_words("library", "".join(segment.text for segment in answer.segments)) <= 0.1


def test_a_prompt_is_taken(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=SPEECH / "letter.flac", prompt="A letter from Scotland."
    )
    assert wrong_words("letter", answer.text) <= 0.1


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny.en", "whisper-1"]
    assert client.models.retrieve("tiny.en").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_words_have_times(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=SPEECH / "library.flac",
        response_format="verbose_json",
        timestamp_granularities=["word"],
        extra_body={"hotwords": "library"},
    )
    assert answer.words
    assert wrong_words("library", " ".join(word.word for word in answer.words)) <= 0.1
    starts = [word.start for word in answer.words]
    assert starts == sorted(starts)
    assert all(word.start <= word.end <= float(answer.duration) for word in answer.words)


def test_events_come_as_the_text_is_made(client: openai.OpenAI) -> None:
    with (SPEECH / "library.flac").open("rb") as file:
        events = list(client.audio.transcriptions.create(model="whisper-1", file=file, stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    (done,) = [event for event in events if event.type == "transcript.text.done"]
    assert "".join(deltas) == done.text
    assert wrong_words("library", done.text) <= 0.1
