"""Puts the transcripts of a file's utterances together, in order and on the clock of the file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.audio import Filtered, Segment, Task, Transcript
from gateway.core.languages import UNSPACED_LANGUAGES
from gateway.core.timeline import placed

# Whisper counts its position (`seek`) in mel frames.
MEL_FRAMES_PER_S = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One utterance's transcript and where the utterance lies in the file."""

    start_s: float
    duration_s: float
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class PlacedSegment:
    """A segment on the file's clock; `seek_frames` is where its utterance starts, in mel frames."""

    seek_frames: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class FileTranscript:
    """What was said in a file. `language` is an ISO code, or None when nothing was said and none was asked for.

    `filtered` is what `text` leaves out.
    """

    text: str
    language: str | None
    duration_s: float
    segments: tuple[PlacedSegment, ...]
    filtered: tuple[Filtered, ...] = ()


def stitch(parts: Sequence[Part], *, duration_s: float, task: Task, language: str | None) -> FileTranscript:
    """The transcript of a file of `duration_s` from its parts in order.

    Without a `language` the one that most of the speech is in counts, but not what was found where nothing was heard.
    """
    text = ""
    for part in parts:
        text += added(text, part.transcript.text, language=part.transcript.language, task=task)
    segments = tuple(
        PlacedSegment(
            int(part.start_s * MEL_FRAMES_PER_S), placed(segment, start_s=part.start_s, duration_s=part.duration_s)
        )
        for part in parts
        for segment in part.transcript.segments
    )
    filtered = tuple(each for part in parts for each in part.transcript.filtered)
    return FileTranscript(text, language or _most_spoken(parts), duration_s, segments, filtered)


def added(before: str, text: str, *, language: str | None, task: Task) -> str:
    """What `text` adds to the text `before` it: itself, after the space that its script puts between sentences."""
    words = text.strip()
    gap = "" if task is Task.TRANSCRIBE and language in UNSPACED_LANGUAGES else " "
    return gap + words if before and words else words


def _most_spoken(parts: Sequence[Part]) -> str | None:
    durations_s: Counter[str] = Counter()
    for part in parts:
        if part.transcript.text:
            # A Counter adds floats as well, though it is typed for int.
            durations_s[part.transcript.language] += part.duration_s  # type: ignore[assignment]
    return durations_s.most_common(1)[0][0] if durations_s else None
