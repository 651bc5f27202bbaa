"""Runs contenders round by round and takes the figures."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from loadtests.accuracy import Normalizer, is_looped, word_error_rate
from loadtests.contenders import Contender
from loadtests.corpus import Clip
from loadtests.rows import Answer, Round, Row

Progress = Callable[[str], None]

# One is subtracted from the other, and the difference is less than what the machine's speed changes within a round.
ABREAST: Mapping[str, str] = MappingProxyType({"c1": "e1", "c1w": "e1w"})


async def warm_up(contenders: Sequence[Contender], progress: Progress) -> None:
    """Lets each allocate and settle, untimed."""
    for contender in contenders:
        progress(f"warm-up: {contender.label}")
        await contender.run(contender.warm_up)


async def compare(
    contenders: Sequence[Contender], normalize: Normalizer, *, rounds: int, progress: Progress
) -> dict[str, Row]:
    """All contenders in turn, `rounds` times over, so that a slow spell of the machine meets all of them."""
    measured: dict[str, list[Round]] = {contender.key: [] for contender in contenders}
    for number in range(1, rounds + 1):
        for abreast in _abreast(contenders):
            progress(f"round {number}/{rounds}: {' beside '.join(one.label for one in abreast)} ...")
            done = await in_turns(abreast, normalize) if abreast[1:] else [await one_round(abreast[0], normalize)]
            for contender, one in zip(abreast, done, strict=True):
                measured[contender.key].append(one)
                progress(f"    {one.throughput:.1f} audio s/s, WER {one.wer_percent:.2f} %, {one.wall_s:.1f} s")
    return {
        contender.key: Row(
            contender.key,
            contender.label,
            tuple(measured[contender.key]),
            contender.tree.peak_rss_bytes() if contender.tree else None,
        )
        for contender in contenders
    }


def _abreast(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Those of ABREAST together, at the place of the first; the others alone."""
    groups: dict[str, list[Contender]] = {}
    for contender in contenders:
        groups.setdefault(ABREAST.get(contender.key, contender.key), []).append(contender)
    return list(groups.values())


async def one_round(contender: Contender, normalize: Normalizer) -> Round:
    """One timed pass over the contender's clips."""
    timed = _Timed(contender)
    await timed.run(contender.clips)
    return timed.judged(normalize)


async def in_turns(contenders: Sequence[Contender], normalize: Normalizer) -> list[Round]:
    """One timed pass over the clips of one-at-a-time contenders: each clip by all of them before the next.

    What is subtracted has then met the same spell of the machine. Who is first changes with every clip.
    """
    timed = [_Timed(contender) for contender in contenders]
    for number in range(len(contenders[0].clips)):
        for one in timed if number % 2 else reversed(timed):
            await one.run(one.contender.clips[number : number + 1])
    return [one.judged(normalize) for one in timed]


class _Timed:
    """Adds up the passes of a contender over its clips."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._answers: list[Answer] = []
        self._wall_s = self._cpu_s = 0.0

    async def run(self, clips: Sequence[Clip]) -> None:
        tree = self.contender.tree
        cpu_before_s = tree.cpu_s() if tree else 0.0
        started_at_s = time.perf_counter()
        self._answers += await self.contender.run(clips)
        self._wall_s += time.perf_counter() - started_at_s
        self._cpu_s += tree.cpu_s() - cpu_before_s if tree else 0.0

    def judged(self, normalize: Normalizer) -> Round:
        clips, cpu_s = self.contender.clips, self._cpu_s if self.contender.tree else None
        return judged(clips, self._answers, normalize, wall_s=self._wall_s, cpu_s=cpu_s)


def judged(
    clips: Sequence[Clip], answers: Sequence[Answer], normalize: Normalizer, *, wall_s: float, cpu_s: float | None
) -> Round:
    """The round with its accuracy."""
    references = [normalize(clip.reference) for clip in clips]
    texts = [normalize(answer.text) for answer in answers]
    return Round(
        audio_s=sum(clip.duration_s for clip in clips),
        wall_s=wall_s,
        cpu_s=cpu_s,
        wer_percent=word_error_rate(references, texts),
        looped_clips=sum(map(is_looped, references, texts)),
        latencies_s=tuple((clip.name, answer.latency_s) for clip, answer in zip(clips, answers, strict=True)),
    )
