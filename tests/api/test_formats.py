from dataclasses import replace

from gateway.api.form import ResponseFormat
from gateway.api.formats import as_json, as_text, as_verbose_json
from gateway.core.audio import Segment, Task, Word
from gateway.core.stitching import FileTranscript, PlacedSegment


def said(text: str, start_s: float, end_s: float) -> PlacedSegment:
    return PlacedSegment(int(start_s * 100), Segment(text, start_s, end_s, (50364, 7), 0.2, -0.3, 1.5, 0.02))


SILENCE = FileTranscript("", None, 0.25, ())


def test_hours_and_rounding_in_srt() -> None:
    transcript = FileTranscript("", "en", 4000, (said(" One\n two ", 3661.9996, 3725.0004),))
    assert as_text(transcript, ResponseFormat.SRT) == "1\n01:01:02,000 --> 01:02:05,000\nOne two\n\n"


def test_a_cue_can_not_be_broken_out_of() -> None:
    transcript = FileTranscript("", "en", 4, (said(" a --> b <c> & d", 0, 1),))
    assert as_text(transcript, ResponseFormat.VTT).endswith("\na -> b &lt;c> &amp; d\n\n")
    assert as_text(transcript, ResponseFormat.SRT).endswith("\na -> b <c> & d\n\n")


def test_silence_is_a_valid_answer_in_every_format() -> None:
    assert as_json(SILENCE) == {"text": "", "usage": {"type": "duration", "seconds": 1}}
    assert as_text(SILENCE, ResponseFormat.TEXT) == "\n"
    assert as_text(SILENCE, ResponseFormat.SRT) == ""
    assert as_text(SILENCE, ResponseFormat.VTT) == "WEBVTT\n\n"
    verbose = as_verbose_json(SILENCE, Task.TRANSCRIBE, words=False)
    assert (verbose["language"], verbose["segments"], verbose["duration"]) == ("unknown", [], 0.25)


def test_a_translation_is_in_english() -> None:
    translated = FileTranscript("Yes.", "de", 9.5, (said(" Yes.", 8, 9),))
    assert as_verbose_json(translated, Task.TRANSLATE, words=False)["language"] == "english"


def test_verbose_json_carries_the_figures_of_each_segment() -> None:
    verbose = as_verbose_json(
        FileTranscript("Ja.", "de", 9.5, (said(" Ja.", 8.1234, 9),)), Task.TRANSCRIBE, words=False
    )
    assert verbose == {
        "task": "transcribe",
        "language": "german",
        "duration": 9.5,
        "text": "Ja.",
        "segments": [
            {
                "id": 0,
                "seek": 812,
                "start": 8.123,
                "end": 9,
                "text": " Ja.",
                "tokens": (50364, 7),
                "temperature": 0.2,
                "avg_logprob": -0.3,
                "compression_ratio": 1.5,
                "no_speech_prob": 0.02,
            }
        ],
        "usage": {"type": "duration", "seconds": 10},
    }


def test_words_stand_beside_the_segments_when_they_were_asked_for() -> None:
    placed = said(" Ja so.", 8, 9)
    words = (Word(" Ja", 8.0, 8.4, 0.9), Word(" so.", 8.4, 9.0, 0.9))
    timed = replace(placed, segment=replace(placed.segment, words=words))
    verbose = as_verbose_json(FileTranscript("Ja so.", "de", 9.5, (timed,)), Task.TRANSCRIBE, words=True)
    assert verbose["words"] == [{"word": "Ja", "start": 8.0, "end": 8.4}, {"word": "so.", "start": 8.4, "end": 9.0}]
