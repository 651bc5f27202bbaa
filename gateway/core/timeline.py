"""Moves a transcript's times: out from behind the audio put in front of it, and onto the client's clock."""

from dataclasses import replace

from gateway.core.audio import Segment, Transcript, Word

# How far the end of a word is told too late at times. No word is shorter.
SLACK_S = 0.1


def placed(segment: Segment, *, start_s: float, duration_s: float) -> Segment:
    """`segment` on the clock of a stream in which its utterance starts at `start_s`; nothing lies outside of that."""

    def at_s(time_s: float) -> float:
        return start_s + min(max(time_s, 0.0), duration_s)

    words = tuple(replace(word, start_s=at_s(word.start_s), end_s=at_s(word.end_s)) for word in segment.words)
    return replace(segment, start_s=at_s(segment.start_s), end_s=at_s(segment.end_s), words=words)


def without_lead(transcript: Transcript, lead_s: float) -> Transcript:
    """`transcript` without what was said in the first `lead_s`, with times from there on.

    A word belongs to the lead if it ends in it: the model lets the first word after a pause begin where the one before
    it ended, so that its middle may well lie in the lead. A segment without words goes by its middle. One that lost
    words has no tokens: the ones it had would say something else.
    """
    kept = [trimmed for segment in transcript.segments if (trimmed := _trimmed(segment, lead_s)) is not None]
    return replace(transcript, text="".join(segment.text for segment in kept).strip(), segments=tuple(kept))


def _trimmed(segment: Segment, lead_s: float) -> Segment | None:
    words = tuple(_earlier(word, lead_s) for word in segment.words if word.end_s > lead_s + SLACK_S)
    start_s, end_s = segment.start_s - lead_s, segment.end_s - lead_s
    if len(words) == len(segment.words):
        is_after = words or (segment.start_s + segment.end_s) / 2 >= lead_s
        return replace(segment, start_s=start_s, end_s=end_s, words=words) if is_after else None
    if not words:
        return None
    text = "".join(word.text for word in words)
    return replace(segment, text=text, start_s=words[0].start_s, end_s=end_s, words=words, tokens=())


def _earlier(word: Word, lead_s: float) -> Word:
    return replace(word, start_s=word.start_s - lead_s, end_s=word.end_s - lead_s)
