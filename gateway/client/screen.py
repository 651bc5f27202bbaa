"""What a person or a program sees of a live transcription: finals in a format, partials on the terminal's last line."""

import json
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TextIO, TypeAlias

from gateway.core.cues import VTT_HEADER, srt_cue, vtt_cue

_CLEAR_LINE: Final = "\r\x1b[K"

Message: TypeAlias = Mapping[str, Any]


class Format(StrEnum):
    """How texts are written; of live ones `json` is an object a line, as the service sends it."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"


class Screen:
    """Writes finals to `out` as they come, partials over one another to `terminal` if there is one."""

    def __init__(self, layout: Format, out: TextIO, terminal: TextIO | None, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._out = out
        self._terminal = terminal
        self._say = say
        self._cues = 0
        if layout is Format.VTT:
            self._write(VTT_HEADER)

    def tell(self, message: Message) -> None:
        """Shows one message of /v1/stream."""
        match message["type"]:
            case "partial":
                self._show(message["text"])
            case "final":
                self.clear()
                self._write(self._laid_out(message))
            case "failed":
                self._report(f"utterance {message['utterance']} failed: {message['message']}")
            case "warning":
                self._report(f"{message.get('dropped_ms', 0)} ms of audio were lost")

    def clear(self) -> None:
        """Takes the partial away."""
        self._show("")

    def _report(self, text: str) -> None:
        self.clear()
        self._say(text)

    def _laid_out(self, final: Message) -> str:
        if self._layout is Format.JSON:
            return json.dumps(final, ensure_ascii=False) + "\n"
        if self._layout is Format.TEXT:
            return _printable(final["text"]) + "\n" if final["text"] else ""
        return "".join(self._cue(segment) for segment in final["segments"] if segment["text"])

    def _cue(self, segment: Message) -> str:
        self._cues += 1
        phrase = (segment["start_ms"] / 1000, segment["end_ms"] / 1000, segment["text"])
        return srt_cue(self._cues, *phrase) if self._layout is Format.SRT else vtt_cue(*phrase)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _show(self, text: str) -> None:
        if self._terminal is not None:
            columns = shutil.get_terminal_size().columns - 1
            self._terminal.write(_CLEAR_LINE + _end_of(_printable(text), columns))
            self._terminal.flush()


def _printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _end_of(text: str, columns: int) -> str:
    """As much of the end as fits; characters of East Asia take two columns."""
    for at in range(len(text) - 1, -1, -1):
        columns -= 2 if unicodedata.east_asian_width(text[at]) in "WF" else 1
        if columns < 0:
            return text[at + 1 :]
    return text
