import io
import json
from typing import Any

import pytest

from gateway.client.screen import Format, Screen


def final(text: str, start_ms: int = 0, end_ms: int = 1500) -> dict[str, Any]:
    segment = {"text": text, "start_ms": start_ms, "end_ms": end_ms}
    return {"type": "final", "utterance": 0, "text": text, "segments": [segment]}


def shown(layout: Format, *messages: dict[str, Any]) -> tuple[str, str, list[str]]:
    out, terminal = io.StringIO(), io.StringIO()
    said: list[str] = []
    screen = Screen(layout, out, terminal, said.append)
    for message in messages:
        screen.tell(message)
    return out.getvalue(), terminal.getvalue(), said


def test_text_is_a_line_for_each_utterance_that_has_one() -> None:
    assert shown(Format.TEXT, final("One."), final(""), final("Two."))[0] == "One.\nTwo.\n"


def test_subtitles_are_numbered_through() -> None:
    out, _, _ = shown(Format.SRT, final("One."), final("Two.", 2000, 3000))
    assert out == "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n00:00:02,000 --> 00:00:03,000\nTwo.\n\n"


def test_web_subtitles_have_their_header_even_without_speech() -> None:
    assert shown(Format.VTT)[0] == "WEBVTT\n\n"
    assert shown(Format.VTT, final("One."))[0] == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne.\n\n"


def test_json_is_an_object_a_line_as_it_came() -> None:
    assert [json.loads(line) for line in shown(Format.JSON, final("Één."))[0].splitlines()] == [final("Één.")]


def test_partials_are_drawn_over_one_another_and_leave_no_trace() -> None:
    partials = [{"type": "partial", "utterance": 0, "text": text} for text in ("One", "One two")]
    out, terminal, _ = shown(Format.TEXT, *partials, final("One two."))
    assert out == "One two.\n"
    assert terminal == "\r\x1b[KOne\r\x1b[KOne two\r\x1b[K"


@pytest.mark.parametrize(
    ("text", "seen"), [("0123456789", "3456789"), ("日本語です", "語です"), ("a\x1b[2Jb", "a [2Jb")]
)
def test_a_partial_stays_on_its_line_and_commands_nothing(
    text: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "8")
    assert shown(Format.TEXT, {"type": "partial", "utterance": 0, "text": text})[1] == "\r\x1b[K" + seen


def test_what_was_lost_is_said() -> None:
    failed = {"type": "failed", "utterance": 3, "message": "The model did not answer in time."}
    dropped = {"type": "warning", "code": "audio_dropped", "dropped_ms": 40}
    said = ["utterance 3 failed: The model did not answer in time.", "40 ms of audio were lost"]
    assert shown(Format.TEXT, failed, dropped)[2] == said
