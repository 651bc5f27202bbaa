"""What the commands do with the files and terminals they are given."""

import io
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.client.commands import _output, _sendable
from gateway.embedded.report import SetupError


def test_what_was_written_before_stays_until_there_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text("yesterday")
    with pytest.raises(ConnectionError), _output(path, "-"):
        raise ConnectionError
    assert path.read_text() == "yesterday"
    with _output(path, "-") as out:
        out.write("to")
        out.write("day")
    assert path.read_text() == "today"


def test_of_a_talk_in_which_nothing_is_said_there_is_no_older_text(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("yesterday")
    with _output(path, "-"):
        pass
    assert path.read_text() == ""


def test_the_text_may_go_where_nothing_can_be_taken_back() -> None:
    with _output(Path("/dev/null"), "-") as out:
        out.write("a text")
        out.flush()


@pytest.mark.parametrize(
    ("name", "sent"), [("caf\udce9.wav", "caf_.wav"), ("a\nb.wav", "a_b.wav"), ("日本 ß.wav", "日本 ß.wav")]
)
def test_any_name_of_a_file_can_be_sent(name: str, sent: str) -> None:
    assert _sendable(name) == sent


def test_a_place_that_can_not_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), _output(tmp_path / "none" / "talk.srt", "-"):
        pytest.fail("it was asked")


def test_a_recording_is_not_overwritten_with_its_text(tmp_path: Path) -> None:
    recording, link = tmp_path / "talk.wav", tmp_path / "same.wav"
    recording.write_bytes(b"RIFF")
    link.symlink_to(recording)
    for path in (recording, link):
        with pytest.raises(SetupError, match="--output"), _output(path, str(recording)) as out:
            out.write("a text")
    assert recording.read_bytes() == b"RIFF"


def test_a_terminal_need_not_know_every_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    with _output(None, "-") as out:
        out.write("да…ß")
        out.flush()
    assert raw.getvalue().decode("latin-1") == "???ß"


@pytest.mark.parametrize("command", ["transcribe", "stream"])
def test_a_closed_standard_input_is_told(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main([command, "-"]) == 1
    assert "there is no standard input" in capsys.readouterr().err
