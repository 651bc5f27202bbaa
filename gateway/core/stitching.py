"""Puts the transcripts of a file's utterances together, in order and on the clock of the file."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.core.audio import Segment, Task, Transcript
from gateway.core.languages import UNSPACED_LANGUAGES

# Whisper counts its position (`seek`) in mel frames.
MEL_FRAMES_PER_S = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One utterance's transcript and where the utterance lies in the file."""

    index: int
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
    """What was said in a file. `language` is an ISO code, or None when nothing was said and none was asked for."""

    text: str
    language: str | None
    duration_s: float
    segments: tuple[PlacedSegment, ...]


def stitch(parts: Iterable[Part], *, duration_s: float, task: Task, language: str | None) -> FileTranscript:
    """The transcript of a file of `duration_s`. Without a `language` the one that most of the speech is in counts."""
    ordered = sorted(parts, key=lambda part: part.index)
    spoken = language or _most_spoken(ordered)
    gap = "" if task is Task.TRANSCRIBE and spoken in UNSPACED_LANGUAGES else " "
    text = gap.join(filter(None, (part.transcript.text.strip() for part in ordered)))
    segments = tuple(
        PlacedSegment(int(part.start_s * MEL_FRAMES_PER_S), _shifted(segment, part))
        for part in ordered
        for segment in part.transcript.segments
    )
    return FileTranscript(text, spoken, duration_s, segments)


def _most_spoken(parts: list[Part]) -> str | None:
    durations_s: Counter[str] = Counter()
    for part in parts:
        # A Counter adds floats as well, though it is typed for int.
        durations_s[part.transcript.language] += part.duration_s  # type: ignore[assignment]
    return durations_s.most_common(1)[0][0] if durations_s else None


def _shifted(segment: Segment, part: Part) -> Segment:
    def at_s(time_s: float) -> float:
        return part.start_s + min(max(time_s, 0.0), part.duration_s)

    words = tuple(replace(word, start_s=at_s(word.start_s), end_s=at_s(word.end_s)) for word in segment.words)
    return replace(segment, start_s=at_s(segment.start_s), end_s=at_s(segment.end_s), words=words)
