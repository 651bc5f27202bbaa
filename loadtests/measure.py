"""Runs contenders round by round and takes the figures."""

import time
from collections.abc import Callable, Sequence

from loadtests.accuracy import Normalizer, is_looped, word_error_rate
from loadtests.contenders import Contender
from loadtests.corpus import Clip
from loadtests.rows import Answer, Round, Row

Progress = Callable[[str], None]


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
        for contender in contenders:
            progress(f"round {number}/{rounds}: {contender.label} ...")
            one = await one_round(contender, normalize)
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


async def one_round(contender: Contender, normalize: Normalizer) -> Round:
    """One timed pass over the contender's clips."""
    tree = contender.tree
    cpu_before_s = tree.cpu_s() if tree else 0.0
    started_at_s = time.perf_counter()
    answers = await contender.run(contender.clips)
    wall_s = time.perf_counter() - started_at_s
    cpu_s = tree.cpu_s() - cpu_before_s if tree else None
    return judged(contender.clips, answers, normalize, wall_s=wall_s, cpu_s=cpu_s)


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
