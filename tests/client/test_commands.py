"""What the commands do with the files and terminals they are given."""

import io
import sys
from pathlib import Path

import pytest

from gateway.client.commands import _output


def test_what_was_written_before_stays_until_there_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text("yesterday")
    with pytest.raises(ConnectionError), _output(path):
        raise ConnectionError
    assert path.read_text() == "yesterday"
    with _output(path) as out:
        out.write("to")
        out.write("day")
    assert path.read_text() == "today"


def test_a_place_that_can_not_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), _output(tmp_path / "none" / "talk.srt"):
        pytest.fail("it was asked")


def test_a_terminal_need_not_know_every_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    with _output(None) as out:
        out.write("да…ß")
        out.flush()
    assert raw.getvalue().decode("latin-1") == "???ß"
