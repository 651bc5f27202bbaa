"""The order in which contenders are asked."""

from collections.abc import Sequence
from pathlib import Path

from loadtests.accuracy import normalizer_for
from loadtests.contenders import Contender
from loadtests.corpus import Clip
from loadtests.measure import compare
from loadtests.rows import Answer

CLIPS = tuple(Clip(name, Path(name), 1.0, "yes") for name in "xy")


async def test_what_is_subtracted_is_asked_clip_by_clip_in_turn() -> None:
    asked: list[str] = []

    def contender(key: str) -> Contender:
        async def run(clips: Sequence[Clip]) -> list[Answer]:
            asked.extend(f"{key} {clip.name}" for clip in clips)
            return [Answer("yes", 0.1) for _ in clips]

        return Contender(key, key, CLIPS, CLIPS[:1], run, None)

    contenders = [contender(key) for key in ("a", "e1", "c1", "c16")]
    rows = await compare(contenders, normalizer_for("en"), rounds=1, progress=lambda _: None)
    assert asked == ["a x", "a y", "c1 x", "e1 x", "e1 y", "c1 y", "c16 x", "c16 y"]
    assert [row.rounds[0].audio_s for row in rows.values()] == [2.0] * 4
    assert [row.wer_percent for row in rows.values()] == [0.0] * 4
