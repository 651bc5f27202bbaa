"""What one trial with live speakers gave: latencies, accuracy, whose words came where, and the limits it must keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from loadtests.accuracy import Normalizer, word_error_rate
from loadtests.rows import Floor, percentile
from loadtests.speaker import Heard, Told

# Of a final's word pairs as many have to be in what was said at that time; a stranger's words share about a twentieth.
_OWN_SHARE: Final = 0.4
_FEWEST_PAIRS: Final = 3
_MOST_WER_POINTS: Final = 2.0
_MOST_FIRST_S: Final = 1.5
_MOST_FINAL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One number of speakers. Latencies in seconds, from the sound itself to the message about it.

    `final_s` are from the end of speech to its final, `first_s` from the start of speech to the first text of any kind.
    `silent_utterances` had no interim result before their final. `partials` are counts by outcome.
    """

    speakers: int
    audio_s: float
    wall_s: float
    final_s: tuple[float, ...]
    first_s: tuple[float, ...]
    silent_utterances: int
    finals: int
    failed: int
    foreign: int
    disordered: int
    dropped_ms: int
    wer_percent: float
    partials: Mapping[str, float]
    cpu_s: float | None
    late_s: float

    def limits(self, *, silence_ms: int, file_wer_percent: float) -> list[Floor]:
        """What has to hold."""
        return [
            Floor(
                "end of speech to final, p95 s", latency_s(self.final_s, 95), silence_ms / 1000 + _MOST_FINAL_S, False
            ),
            Floor("start of speech to first text, p50 s", latency_s(self.first_s, 50), _MOST_FIRST_S, False),
            Floor("WER points above the file API", self.wer_percent - file_wer_percent, _MOST_WER_POINTS, False),
            Floor("finals with a stranger's words", self.foreign, 0, False),
            Floor("finals out of order or missing", self.disordered, 0, False),
            Floor("utterances without a final", self.failed, 0, False),
            Floor("audio dropped, ms", self.dropped_ms, 0, False),
        ]

    def as_json(self) -> dict[str, Any]:
        """The figures; latencies as percentiles."""
        return {
            "speakers": self.speakers,
            "audio_s": round(self.audio_s, 1),
            "final_p50_s": latency_s(self.final_s, 50),
            "final_p95_s": latency_s(self.final_s, 95),
            "first_p50_s": latency_s(self.first_s, 50),
            "first_p95_s": latency_s(self.first_s, 95),
            "silent_utterances": self.silent_utterances,
            "finals": self.finals,
            "failed": self.failed,
            "foreign": self.foreign,
            "disordered": self.disordered,
            "dropped_ms": self.dropped_ms,
            "wer_percent": round(self.wer_percent, 2),
            "partials": dict(self.partials),
            "cores": None if self.cpu_s is None else round(self.cpu_s / self.wall_s, 2),
            "late_s": round(self.late_s, 3),
        }


def latency_s(latencies_s: Sequence[float], percent: float) -> float:
    """By linear interpolation; without any nothing was told, which is the worst."""
    return round(percentile(list(latencies_s), percent), 3) if latencies_s else float("inf")


def judged(
    heard: Sequence[Heard],
    normalize: Normalizer,
    *,
    wall_s: float,
    cpu_s: float | None,
    partials: Mapping[str, float],
) -> Trial:
    """The trial of these speakers."""
    firsts = [first for one in heard for first in _first_texts(one)]
    closings = [told.message for one in heard for told in one.of("session.closed")]
    return Trial(
        speakers=len(heard),
        audio_s=sum(one.script.duration_s for one in heard),
        wall_s=wall_s,
        final_s=tuple(latency_s for one in heard for latency_s in _final_latencies(one)),
        first_s=tuple(latency_s for latency_s, _ in firsts),
        silent_utterances=sum(not has_partial for _, has_partial in firsts),
        finals=sum(len(one.of("final")) for one in heard),
        failed=sum(len(one.of("failed")) for one in heard),
        foreign=sum(_is_foreign(one, told, normalize) for one in heard for told in one.of("final")),
        disordered=sum(map(_is_disordered, heard)),
        dropped_ms=sum(closing["dropped_ms"] for closing in closings),
        wer_percent=word_error_rate(
            [normalize(one.script.reference) for one in heard], [normalize(one.text) for one in heard]
        ),
        partials=partials,
        cpu_s=cpu_s,
        late_s=max(one.late_s for one in heard),
    )


def _edges_s(heard: Heard, told: Told) -> tuple[float, float]:
    return heard.script.speech_within(told.message["start_ms"] / 1000, told.message["end_ms"] / 1000)


def _final_latencies(heard: Heard) -> Iterator[float]:
    """Of utterances that ended in silence: a cut for length has no end of speech."""
    for told in heard.of("final"):
        if told.message["reason"] == "silence":
            yield told.at_s - _edges_s(heard, told)[1]


def _first_texts(heard: Heard) -> Iterator[tuple[float, bool]]:
    """For each utterance that began with speech: how long until any text of it, and whether that was a partial."""
    first_partial_s: dict[int, float] = {}
    for told in heard.of("partial"):
        if not told.message["text"]:
            continue
        first_partial_s.setdefault(told.message["utterance"], told.at_s)
    reason = "silence"
    for told in heard.of("final"):
        # After a cut for length the speaker is in the middle of it.
        if reason == "silence" and told.message["text"]:
            at_s = first_partial_s.get(told.message["utterance"])
            yield (told.at_s if at_s is None else at_s) - _edges_s(heard, told)[0], at_s is not None
        reason = told.message["reason"]


def _is_foreign(heard: Heard, told: Told, normalize: Normalizer) -> bool:
    pairs = set(pairwise(normalize(told.message["text"]).split()))
    said = heard.script.said_between(told.message["start_ms"] / 1000, told.message["end_ms"] / 1000)
    own = pairs & set(pairwise(normalize(said).split()))
    return len(pairs) >= _FEWEST_PAIRS and len(own) < _OWN_SHARE * len(pairs)


def _is_disordered(heard: Heard) -> bool:
    """Whether an utterance has no outcome, or more than one, or one before its turn."""
    outcomes = [told.message for told in heard.told if told.message["type"] in ("final", "failed")]
    times_ms = [told.message["start_ms"] for told in heard.of("final")]
    in_order = [outcome["utterance"] for outcome in outcomes] == list(range(len(outcomes)))
    closings = heard.of("session.closed")
    complete = len(closings) == 1 and closings[0].message["finals"] + closings[0].message["failed"] == len(outcomes)
    return not (in_order and complete and times_ms == sorted(times_ms))
