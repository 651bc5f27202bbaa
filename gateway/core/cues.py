"""Subtitles: one phrase with its times as a cue of SubRip (srt) or WebVTT (vtt)."""

VTT_HEADER = "WEBVTT\n\n"
_MS_PER_S = 1000


def srt_cue(number: int, start_s: float, end_s: float, text: str) -> str:
    """A cue of SubRip; numbers begin with 1."""
    return f"{number}\n{_clock(start_s, ',')} --> {_clock(end_s, ',')}\n{_line(text)}\n\n"


def vtt_cue(start_s: float, end_s: float, text: str) -> str:
    """A cue of WebVTT, where & and < begin markup."""
    line = _line(text).replace("&", "&amp;").replace("<", "&lt;")
    return f"{_clock(start_s, '.')} --> {_clock(end_s, '.')}\n{line}\n\n"


def _clock(time_s: float, decimal_mark: str) -> str:
    seconds, ms = divmod(round(time_s * _MS_PER_S), _MS_PER_S)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{decimal_mark}{ms:03d}"


def _line(text: str) -> str:
    """One line without the arrow: either would end a cue early."""
    return " ".join(text.split()).replace("-->", "->")
