"""Whether cost grows in proportion: four times the files, and an hour in one file."""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from loadtests.accuracy import Normalizer
from loadtests.contenders import Contender
from loadtests.corpus import Clip
from loadtests.measure import Progress, one_round
from loadtests.rows import MIB, Floor, Round

HOUR_S: Final = 3600.0
_TIMES: Final = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Scaling:
    """Rounds of the files once and four times, of the joined file, of the hour; the gateway's peak memory around it."""

    once: tuple[Round, ...]
    four_times: tuple[Round, ...]
    joined: tuple[Round, ...]
    hour: Round
    gateway_before_bytes: int | None
    gateway_after_bytes: int | None


async def measure_scaling(
    contenders: Mapping[str, Contender], hour: Clip, normalize: Normalizer, *, rounds: int, progress: Progress
) -> Scaling:
    """Uses the contenders c16 and d. The hour is measured once, last."""
    many, single = contenders["c16"], contenders["d"]
    runs: dict[str, Contender] = {
        "once": many,
        "four_times": dataclasses.replace(many, clips=many.clips * _TIMES),
        "joined": single,
    }
    measured: dict[str, list[Round]] = {name: [] for name in runs}
    for number in range(1, rounds + 1):
        for name, contender in runs.items():
            progress(f"scaling {number}/{rounds}: {name.replace('_', ' ')}, {len(contender.clips)} files ...")
            one = await one_round(contender, normalize)
            measured[name].append(one)
            progress(f"    {one.throughput:.1f} audio s/s, {one.wall_s:.1f} s")
    tree = single.tree
    before_bytes = tree.root_peak_rss_bytes() if tree else None
    progress(f"scaling: a file of {hour.duration_s:.0f} s ({hour.path.stat().st_size / MIB:.0f} MiB) ...")
    long = await one_round(dataclasses.replace(single, clips=(hour,)), normalize)
    progress(f"    {long.throughput:.1f} audio s/s, WER {long.wer_percent:.2f} %, {long.wall_s:.1f} s")
    return Scaling(
        once=tuple(measured["once"]),
        four_times=tuple(measured["four_times"]),
        joined=tuple(measured["joined"]),
        hour=long,
        gateway_before_bytes=before_bytes,
        gateway_after_bytes=tree.root_peak_rss_bytes() if tree else None,
    )


def scaling_floors(scaling: Scaling) -> Iterator[Floor]:
    """The limits on how cost may grow."""
    yield Floor("time of 4 x the files / once", _wall_s(scaling.four_times) / _wall_s(scaling.once), 4.2, False)
    joined = statistics.median(one.throughput for one in scaling.joined)
    yield Floor("throughput of an hour / of minutes", scaling.hour.throughput / joined, 0.9, True)
    yield Floor("looped transcripts of the hour", scaling.hour.looped_clips, 0, False)
    if scaling.gateway_before_bytes is not None and scaling.gateway_after_bytes is not None:
        # An hour of samples alone is 110 MiB.
        grown_bytes = scaling.gateway_after_bytes - scaling.gateway_before_bytes
        yield Floor("MiB the gateway's peak grew by in the hour", grown_bytes / MIB, 32, False)


def hour_file(folder: Path) -> Path:
    """Where the file of an hour is written."""
    return folder / "hour.wav"


def _wall_s(rounds: tuple[Round, ...]) -> float:
    return statistics.median(one.wall_s for one in rounds)
