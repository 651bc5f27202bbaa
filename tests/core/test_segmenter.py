"""The segmenter, in the notation of one character a frame: `.` silence, `-` between the scores, `#` speech."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audio import FRAME_MS, FRAME_SAMPLES, CutReason, Samples
from gateway.core.segmenter import (
    SLACK_FRAMES,
    Event,
    Segmenter,
    SegmenterConfig,
    SpeechStarted,
    UtteranceCut,
    quietest_sample,
)

SCORES = {".": 0.0, "-": 0.4, "#": 1.0}
CONFIG = SegmenterConfig(
    start_score=0.5,
    stop_score=0.3,
    min_speech_ms=2 * FRAME_MS,
    silence_ms=3 * FRAME_MS,
    pre_roll_ms=1 * FRAME_MS,
    post_roll_ms=3 * FRAME_MS,
    max_utterance_ms=10 * FRAME_MS,
)


def scores_of(notation: str) -> list[float]:
    return [SCORES[frame] for frame in notation]


def audio_of(frames: int) -> Samples:
    """Samples of which each tells its position, so that a copy of the wrong ones shows."""
    return (np.arange(frames * FRAME_SAMPLES) % 30_011).astype(np.int16)


def run(samples: Samples, scores: Sequence[float], config: SegmenterConfig, pieces: Sequence[int] = ()) -> list[Event]:
    """Pushes `pieces` frames at a time, then all the rest, then finishes."""
    segmenter = Segmenter(config)
    events: list[Event] = []
    first = 0
    for frames in [*pieces, len(scores)]:
        last = first + frames
        events += segmenter.push(samples[first * FRAME_SAMPLES : last * FRAME_SAMPLES], scores[first:last])
        first = last
    return events + segmenter.finish()


def cuts_of(events: list[Event]) -> list[UtteranceCut]:
    return [event for event in events if isinstance(event, UtteranceCut)]


def cut(notation: str, **changes: int) -> list[tuple[int, int]]:
    """The utterances as (first frame, frame after the last)."""
    config = replace(CONFIG, **changes)
    utterances = [event.utterance for event in cuts_of(run(audio_of(len(notation)), scores_of(notation), config))]
    spans = [(u.start_sample / FRAME_SAMPLES, (u.start_sample + len(u.samples)) / FRAME_SAMPLES) for u in utterances]
    assert [u.index for u in utterances] == list(range(len(utterances)))
    assert all(edge.is_integer() for span in spans for edge in span)
    return [(int(start), int(end)) for start, end in spans]


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        ("..###...", [(1, 8)]),
        ("..###......", [(1, 8)]),
        ("", []),
        ("........", []),
        ("###...", [(0, 6)]),
        ("..#.....", []),
        ("..#.#.#.", []),
        ("..##..##...", [(1, 11)]),
        ("..##...##...", [(1, 7), (7, 12)]),
        ("..##.....##...", [(1, 7), (8, 14)]),
        ("..##", [(1, 4)]),
        ("..###.", [(1, 6)]),
        ("..---...", []),
        ("..#----...", [(1, 10)]),
        ("..--##-...", [(3, 10)]),
        ("..##..--...", [(1, 11)]),
    ],
)
def test_silence_cuts(notation: str, expected: list[tuple[int, int]]) -> None:
    assert cut(notation) == expected


@pytest.mark.parametrize("pre_roll_frames", [0, 1, 2, 60])
def test_a_new_config_takes_nothing_of_the_beginning_of_speech(pre_roll_frames: int) -> None:
    segmenter, samples = Segmenter(CONFIG), audio_of(130)
    for frame, score in enumerate(scores_of("." * 120 + "#")):
        segmenter.push(samples[frame * FRAME_SAMPLES : (frame + 1) * FRAME_SAMPLES], [score])
    segmenter.configure(replace(CONFIG, pre_roll_ms=pre_roll_frames * FRAME_MS, silence_ms=160, max_utterance_ms=4_000))
    segmenter.push(samples[121 * FRAME_SAMPLES :], scores_of("#" * 9))
    (cut,) = cuts_of(segmenter.finish())
    start = cut.utterance.start_sample
    np.testing.assert_array_equal(cut.utterance.samples, samples[start:])
    kept_frames = 120 - start // FRAME_SAMPLES
    assert kept_frames == pre_roll_frames or CONFIG.pre_roll_ms // FRAME_MS <= kept_frames < pre_roll_frames


def test_the_silence_beyond_the_post_roll_is_left_to_the_next_utterance() -> None:
    assert cut("..##...##...", post_roll_ms=FRAME_MS) == [(1, 5), (6, 10)]
    assert cut("..##..", post_roll_ms=FRAME_MS) == [(1, 5)]


def test_without_minimum_the_first_frame_starts_speech() -> None:
    assert cut("..#...", min_speech_ms=0) == [(1, 6)]


def test_a_silence_that_ends_beyond_the_limit_is_trimmed_to_it() -> None:
    assert cut("########...") == [(0, 10)]


def loud_but(quiet: range, frames: int) -> Samples:
    samples = np.full(frames * FRAME_SAMPLES, 3_000, np.int16)
    samples[quiet.start * FRAME_SAMPLES : quiet.stop * FRAME_SAMPLES] = 10
    return samples


LONG = SegmenterConfig(max_utterance_ms=10_000, silence_ms=500, post_roll_ms=300, pre_roll_ms=300)


def test_the_limit_cuts_at_the_quietest_point_and_speech_goes_on() -> None:
    samples = loud_but(range(400, 411), 800)
    events = run(samples, [1.0] * 800, LONG)
    first, second = cuts_of(events)
    assert (first.reason, second.reason) == (CutReason.MAX_LENGTH, CutReason.CLOSE)
    middle = len(first.utterance.samples) / FRAME_SAMPLES
    assert 400 < middle < 411
    assert second.utterance.start_sample == len(first.utterance.samples)
    assert len(second.utterance.samples) == len(samples) - second.utterance.start_sample
    assert [event.at_sample for event in events if isinstance(event, SpeechStarted)] == [
        0,
        second.utterance.start_sample,
    ]


def test_a_quiet_point_too_far_from_the_limit_is_not_taken() -> None:
    cuts = cuts_of(run(loud_but(range(100, 120), 600), [1.0] * 600, LONG))
    assert len(cuts[0].utterance.samples) >= 7 * 16_000


def test_only_silence_after_the_cut_for_length_is_no_utterance() -> None:
    samples = loud_but(range(485, 800), 800)
    scores = [1.0] * 485 + [0.0] * 315
    events = run(samples, scores, LONG)
    assert [type(event) for event in events] == [SpeechStarted, UtteranceCut]
    assert 485 * FRAME_SAMPLES < len(cuts_of(events)[0].utterance.samples) <= 500 * FRAME_SAMPLES


def test_speech_that_resumes_after_the_cut_for_length_needs_no_new_start() -> None:
    samples = loud_but(range(485, 505), 800)
    scores = [1.0] * 485 + [0.0] * 20 + [0.3] + [0.0] * 294
    events = run(samples, scores, LONG)
    first, second = cuts_of(events)
    assert [type(event) for event in events] == [SpeechStarted, UtteranceCut] * 2
    assert second.reason is CutReason.SILENCE
    assert second.utterance.start_sample == len(first.utterance.samples)


def test_the_open_utterance_can_be_read_and_is_a_copy() -> None:
    segmenter = Segmenter(CONFIG)
    samples = audio_of(6)
    assert segmenter.open_utterance() is None
    assert segmenter.open_samples == 0
    assert segmenter.push(samples, scores_of("..####")) == [SpeechStarted(FRAME_SAMPLES)]
    utterance = segmenter.open_utterance()
    assert utterance is not None
    assert (utterance.index, utterance.start_sample) == (0, FRAME_SAMPLES)
    assert segmenter.open_samples == len(utterance.samples) == 5 * FRAME_SAMPLES
    utterance.samples[:] = 0
    (event,) = segmenter.finish(CutReason.FINALIZE)
    assert isinstance(event, UtteranceCut)
    assert event.reason is CutReason.FINALIZE
    np.testing.assert_array_equal(event.utterance.samples, samples[FRAME_SAMPLES:])
    assert segmenter.open_utterance() is None


def test_it_goes_on_after_finish_on_the_same_clock() -> None:
    segmenter = Segmenter(CONFIG)
    assert len(segmenter.push(audio_of(4), scores_of("####")) + segmenter.finish(CutReason.FINALIZE)) == 2
    assert segmenter.finish() == []
    events = segmenter.push(audio_of(4), scores_of("##..")) + segmenter.finish()
    assert cuts_of(events)[0].utterance.start_sample == 4 * FRAME_SAMPLES
    assert cuts_of(events)[0].utterance.index == 1
    assert segmenter.received_samples == 8 * FRAME_SAMPLES


def test_a_start_that_was_not_reached_is_forgotten_at_finish() -> None:
    segmenter = Segmenter(CONFIG)
    segmenter.push(audio_of(1), [1.0])
    assert segmenter.finish() == []
    assert segmenter.push(audio_of(1), [1.0]) == []


def test_a_short_last_frame_is_kept() -> None:
    samples = audio_of(4)[:-100]
    (event,) = cuts_of(run(samples, [1.0] * 4, CONFIG))
    np.testing.assert_array_equal(event.utterance.samples, samples)


def test_as_many_scores_as_frames() -> None:
    with pytest.raises(ValueError, match="640 samples are not 1 frames"):
        Segmenter(CONFIG).push(audio_of(2), [1.0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"start_score": 0.2}, "start_score"),
        ({"stop_score": 0.0}, "stop_score"),
        ({"start_score": 1.1}, "start_score"),
        ({"min_speech_ms": -1}, "min_speech_ms"),
        ({"pre_roll_ms": -1}, "pre_roll_ms"),
        ({"post_roll_ms": -1}, "post_roll_ms"),
        ({"silence_ms": 0, "post_roll_ms": 0}, "silence_ms"),
        ({"silence_ms": 200}, "silence_ms"),
        ({"max_utterance_ms": 900}, "max_utterance_ms"),
    ],
)
def test_a_bad_config_names_the_field(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(SegmenterConfig(), **changes)


def test_the_quietest_point_of_equal_ones_is_the_last() -> None:
    assert quietest_sample(np.zeros(16_000, np.int16)) == 16_000 - 1_600
    assert quietest_sample(np.zeros(320, np.int16)) == 160
    assert quietest_sample(np.full(16_000, -32_768, np.int16)) == 16_000 - 1_600


SHORT = replace(CONFIG, max_utterance_ms=16 * FRAME_MS, post_roll_ms=FRAME_MS, pre_roll_ms=2 * FRAME_MS)
notations = st.lists(st.tuples(st.sampled_from(".-#"), st.integers(1, 40)), max_size=30).map(
    lambda runs: "".join(frame * length for frame, length in runs)
)


@given(notations, st.lists(st.integers(0, 2 * SLACK_FRAMES), max_size=20), st.sampled_from([CONFIG, SHORT]))
def test_chunks_do_not_matter_and_every_sample_is_in_one_utterance_at_most(
    notation: str, pieces: list[int], config: SegmenterConfig
) -> None:
    samples, scores = audio_of(len(notation)), scores_of(notation)
    events = run(samples, scores, config, pieces)
    whole = run(samples, scores, config)
    assert [type(event) for event in events] == [SpeechStarted, UtteranceCut] * (len(events) // 2)
    end = 0
    for started, event, expected in zip(events[::2], cuts_of(events), cuts_of(whole), strict=True):
        utterance = event.utterance
        assert isinstance(started, SpeechStarted)
        assert started.at_sample == utterance.start_sample == expected.utterance.start_sample >= end
        assert event.reason is expected.reason
        end = utterance.start_sample + len(utterance.samples)
        assert 0 < len(utterance.samples) <= config.max_utterance_ms * 16
        np.testing.assert_array_equal(utterance.samples, expected.utterance.samples)
        np.testing.assert_array_equal(utterance.samples, samples[utterance.start_sample : end])


@given(notations)
def test_no_speech_that_began_is_lost(notation: str) -> None:
    """Every frame of a run that is long enough for the minimum lies in an utterance."""
    covered = np.zeros(len(notation), bool)
    for start, end in cut_samples(notation):
        covered[start // FRAME_SAMPLES : -(-end // FRAME_SAMPLES)] = True
    run_start = 0
    for frame in range(len(notation) + 1):
        if frame == len(notation) or notation[frame] != "#":
            if frame - run_start >= 2:
                assert covered[run_start:frame].all()
            run_start = frame + 1


def cut_samples(notation: str) -> list[tuple[int, int]]:
    utterances = [event.utterance for event in cuts_of(run(audio_of(len(notation)), scores_of(notation), SHORT))]
    return [(u.start_sample, u.start_sample + len(u.samples)) for u in utterances]
