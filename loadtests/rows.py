"""What was measured, round by round, and the floors that the medians must meet."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One transcript and how long its caller waited."""

    text: str
    latency_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of a contender over its clips; `cpu_s` is None where its processes can't be seen."""

    audio_s: float
    wall_s: float
    cpu_s: float | None
    wer_percent: float
    looped_clips: int
    latencies_s: tuple[tuple[str, float], ...]

    @property
    def throughput(self) -> float:
        """Audio seconds per second of wall clock."""
        return self.audio_s / self.wall_s


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of one contender; each figure is their median, but the worst for loops."""

    key: str
    label: str
    rounds: tuple[Round, ...]
    peak_rss_bytes: int | None

    @property
    def throughput(self) -> float:
        """Audio seconds per second of wall clock."""
        return statistics.median(one.throughput for one in self.rounds)

    def latency_ms(self, percent: float) -> float:
        """The percentile over a round's clips."""
        return statistics.median(percentile([s for _, s in one.latencies_s], percent) for one in self.rounds) * 1000

    @property
    def wer_percent(self) -> float:
        """Word errors in percent of the words said."""
        return statistics.median(one.wer_percent for one in self.rounds)

    @property
    def looped_clips(self) -> int:
        """Clips with a looped transcript in the worst round."""
        return max(one.looped_clips for one in self.rounds)

    @property
    def cpu_s_per_audio_s(self) -> float | None:
        """Processor seconds for one second of audio."""
        known = [one.cpu_s / one.audio_s for one in self.rounds if one.cpu_s is not None]
        return statistics.median(known) if known else None


@dataclass(frozen=True, slots=True)
class Floor:
    """A figure and its limit."""

    name: str
    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def percentile(values: list[float], percent: float) -> float:
    """By linear interpolation; `percent` from 0 to 100."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def added_ms(row: Row, base: Row) -> float:
    """What `row` adds to a clip's latency: the median of the differences clip by clip, which cancels their lengths.

    The two were asked for each clip one right after the other, round by round.
    """
    pairs = (
        pair
        for ours, theirs in zip(row.rounds, base.rounds, strict=True)
        for pair in zip(ours.latencies_s, theirs.latencies_s, strict=True)
    )
    return statistics.median(with_it_s - without_s for (_, with_it_s), (_, without_s) in pairs) * 1000


def floors(rows: Mapping[str, Row], *, beam_size: int) -> Iterator[Floor]:
    """Those of the floors whose rows were measured."""
    for name, (key, base), figure, limit, at_least in _FLOORS:
        if key in rows and base in rows and (key != "d" or beam_size == 1):
            yield Floor(name, figure(rows[key], rows[base]), limit, at_least)
    for key, base in _WER_PAIRS:
        if key in rows and base in rows:
            difference = rows[key].wer_percent - rows[base].wer_percent
            yield Floor(f"WER points, {key} - {base}", difference, _MOST_WER_POINTS, False)
    if served := [row.looped_clips for key, row in rows.items() if key not in _FASTER_WHISPER]:
        yield Floor("looped transcripts of Tritone", max(served), 0, False)


def _throughput_ratio(row: Row, base: Row) -> float:
    return row.throughput / base.throughput


def _latency_ratio(row: Row, base: Row) -> float:
    return row.latency_ms(50) / base.latency_ms(50)


_FASTER_WHISPER: Final = ("a", "a1", "b")
_MOST_WER_POINTS: Final = 0.5
_WER_PAIRS: Final = (("c1", "a"), ("c4", "a"), ("c16", "a"), ("d", "b"))
# Name, rows, figure, limit, whether it is the least. The one on the joined file is for greedy decoding.
_FLOORS: Final = (
    ("throughput, c16 / a", ("c16", "a"), _throughput_ratio, 3.5, True),
    ("throughput, d / b", ("d", "b"), _throughput_ratio, 2.5, True),
    ("latency p50, c1 / a1", ("c1", "a1"), _latency_ratio, 0.5, False),
    ("gateway's part of the latency in ms, c1 - e1", ("c1", "e1"), added_ms, 10.0, False),
    ("the same without decoding and cutting, c1w - e1w", ("c1w", "e1w"), added_ms, 4.0, False),
)
