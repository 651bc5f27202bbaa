import asyncio
from pathlib import Path

import pytest

from loadtests.contenders import callers, cut_as_the_gateway
from loadtests.corpus import Clip, load_corpus
from loadtests.errors import BenchError

CLIPS = [Clip(str(number), Path(), 1.0, "") for number in range(7)]


async def test_answers_keep_the_order_of_the_clips_and_no_more_callers_ask_at_once() -> None:
    asking: list[str] = []
    most = 0

    async def ask(clip: Clip) -> str:
        nonlocal most
        asking.append(clip.name)
        most = max(most, len(asking))
        # Later clips are answered first.
        for _ in range(10 - int(clip.name)):
            await asyncio.sleep(0)
        asking.remove(clip.name)
        return clip.name

    answers = await callers(ask, 3)(CLIPS)
    assert [answer.text for answer in answers] == [clip.name for clip in CLIPS]
    assert most == 3


async def test_the_first_failure_ends_the_round_as_itself() -> None:
    async def ask(clip: Clip) -> str:
        if clip.name == "2":
            raise BenchError("2 failed")
        return ""

    with pytest.raises(BenchError, match="2 failed"):
        await callers(ask, 2)(CLIPS)


def test_a_clip_is_cut_into_utterances_of_the_model() -> None:
    speech = Path(__file__).resolve().parents[1] / "fixtures" / "speech"
    utterances = cut_as_the_gateway(load_corpus(speech)[-1])
    assert utterances
    assert all(0 < len(samples) <= 28 * 16_000 for samples in utterances)
