from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadtests.conversation import Script, Turn, scripts
from loadtests.corpus import FIXTURES, load_corpus
from loadtests.speaker import Heard, Told
from loadtests.streams import largest
from loadtests.trial import Trial, judged

ONE, TWO = "the river is high after the rain", "nine trains leave for the coast"


def script() -> Script:
    """One second of tone from 1.0 s and from 4.0 s on, in six seconds of faint noise."""
    samples = np.random.default_rng(1).integers(-20, 20, 6 * 16_000, dtype=np.int16)
    tone = (8000 * np.sin(np.arange(16_000) / 5)).astype(np.int16)
    samples[16_000:32_000] = samples[64_000:80_000] = tone
    return Script(samples, (Turn(ONE, 1.0, 2.0), Turn(TWO, 4.0, 5.0)))


def final(utterance: int, text: str, start_ms: int, at_s: float, **values: object) -> Told:
    message = {"type": "final", "utterance": utterance, "text": text, "start_ms": start_ms, "end_ms": start_ms + 1600}
    return Told(at_s, message | {"reason": "silence"} | values)


def partial(utterance: int, text: str, at_s: float) -> Told:
    return Told(at_s, {"type": "partial", "utterance": utterance, "text": text})


def closed(finals: int) -> Told:
    return Told(9.0, {"type": "session.closed", "finals": finals, "failed": 0, "dropped_ms": 0})


def trial(*told: Told) -> Trial:
    return judged([Heard(script(), told, 0.0)], str.strip, wall_s=6.0, cpu_s=3.0, partials={})


def missed(figures: Trial) -> list[str]:
    return [limit.name for limit in figures.limits(silence_ms=500, file_wer_percent=0.0) if not limit.met]


def test_latencies_count_from_the_sound_itself() -> None:
    figures = trial(
        partial(0, "", 1.2), partial(0, "the", 1.6), final(0, ONE, 700, 2.8), final(1, TWO, 3700, 5.9), closed(2)
    )
    assert figures.final_s == pytest.approx((0.8, 0.9), abs=0.02)
    # The second had no partial: its final is the first text.
    assert figures.first_s == pytest.approx((0.6, 1.9), abs=0.02)
    assert figures.silent_utterances == 1
    assert (figures.wer_percent, missed(figures)) == (0.0, [])


def test_a_cut_for_length_has_no_end_of_speech_and_no_beginning_behind_it() -> None:
    figures = trial(final(0, ONE, 700, 2.8, reason="max_length"), final(1, TWO, 3700, 5.9), closed(2))
    assert len(figures.final_s) == 1
    assert figures.first_s == pytest.approx((1.8,), abs=0.02)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ((final(0, TWO, 700, 2.8), final(1, ONE, 3700, 5.9), closed(2)), "finals with a stranger's words"),
        ((final(1, TWO, 3700, 5.9), final(0, ONE, 700, 6.0), closed(2)), "finals out of order or missing"),
        ((final(0, ONE, 700, 2.8), closed(2)), "finals out of order or missing"),
        ((final(0, ONE, 700, 4.8), final(1, TWO, 3700, 7.0), closed(2)), "end of speech to final, p95 s"),
    ],
)
def test_what_is_wrong_is_seen(told: tuple[Told, ...], name: str) -> None:
    assert name in missed(trial(*told))


def test_who_is_told_nothing_misses_the_limits() -> None:
    assert {"end of speech to final, p95 s", "start of speech to first text, p50 s"} <= set(missed(trial(closed(0))))


def test_two_points_of_accuracy_may_be_lost() -> None:
    told = (partial(0, "the", 1.6), final(0, ONE, 700, 2.8), partial(1, "nine", 4.6), final(1, TWO, 3700, 5.9))
    figures = replace(trial(*told, closed(2)), wer_percent=5.0)
    assert all(limit.met for limit in figures.limits(silence_ms=500, file_wer_percent=3.0))
    assert not all(limit.met for limit in figures.limits(silence_ms=500, file_wer_percent=2.9))


def test_speakers_begin_elsewhere_and_their_turns_are_where_the_sound_is() -> None:
    corpus = load_corpus(FIXTURES)
    made = scripts(corpus, speakers=16, at_least_s=20.0)
    assert len({one.turns[0].reference for one in made}) == len(corpus)
    assert len({one.reference for one in made}) == len(made)
    for one in made:
        for turn in one.turns:
            start_s, end_s = one.speech_within(turn.start_s - 0.5, turn.end_s + 0.5)
            assert turn.start_s <= start_s < end_s <= turn.end_s


@pytest.mark.parametrize(
    ("good", "bad", "fits", "found"),
    [
        (16, None, 100, range(88, 101)),
        (0, 16, 5, range(5, 6)),
        (0, 16, 0, range(1)),
        (16, None, 5000, range(1024, 1025)),
    ],
)
async def test_the_largest_number_is_found(good: int, bad: int | None, fits: int, found: Any) -> None:
    async def attempt(speakers: int) -> bool:
        return speakers <= fits

    assert await largest(good, bad, attempt) in found
