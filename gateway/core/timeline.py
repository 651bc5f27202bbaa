"""Moves a transcript's times: out from behind the audio put in front of it, and onto the client's clock."""

from dataclasses import replace

from gateway.core.audio import Segment, Transcript, Word


def placed(segment: Segment, *, start_s: float, duration_s: float) -> Segment:
    """`segment` on the clock of a stream in which its utterance starts at `start_s`; nothing lies outside of that."""

    def at_s(time_s: float) -> float:
        return start_s + min(max(time_s, 0.0), duration_s)

    words = tuple(replace(word, start_s=at_s(word.start_s), end_s=at_s(word.end_s)) for word in segment.words)
    return replace(segment, start_s=at_s(segment.start_s), end_s=at_s(segment.end_s), words=words)


def without_lead(transcript: Transcript, lead_s: float) -> Transcript:
    """`transcript` without what was said in the first `lead_s`, with times from there on.

    A word, or a segment without words, belongs to the lead if its middle lies in it. A segment that lost words has no
    tokens: the ones it had would say something else.
    """
    kept = [trimmed for segment in transcript.segments if (trimmed := _trimmed(segment, lead_s)) is not None]
    return replace(transcript, text="".join(segment.text for segment in kept).strip(), segments=tuple(kept))


def _trimmed(segment: Segment, lead_s: float) -> Segment | None:
    words = tuple(_earlier(word, lead_s) for word in segment.words if _is_after(word, lead_s))
    start_s, end_s = segment.start_s - lead_s, segment.end_s - lead_s
    if len(words) == len(segment.words):
        return (
            replace(segment, start_s=start_s, end_s=end_s, words=words) if words or _is_after(segment, lead_s) else None
        )
    if not words:
        return None
    text = "".join(word.text for word in words)
    return replace(segment, text=text, start_s=words[0].start_s, end_s=end_s, words=words, tokens=())


def _is_after(span: Word | Segment, lead_s: float) -> bool:
    return (span.start_s + span.end_s) / 2 >= lead_s


def _earlier(word: Word, lead_s: float) -> Word:
    return replace(word, start_s=word.start_s - lead_s, end_s=word.end_s - lead_s)
