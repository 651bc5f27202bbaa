"""The clock and the numbers of utterances, whatever is skipped or set anew."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.core.audio import FRAME_SAMPLES, CutReason
from gateway.core.live.effects import SpeechBegan
from gateway.core.live.intake import Intake
from gateway.core.segmenter import UtteranceCut
from tests.core.live.drive import SEGMENTER, audio_of


def heard(intake: Intake, frames: int, score: float = 1.0) -> list[SpeechBegan | UtteranceCut]:
    waiting = intake.push(audio_of(frames))
    return [event for events in intake.score([score] * (len(waiting) // FRAME_SAMPLES)) for event in events]


def test_without_audio_there_is_no_buffer_and_nothing_to_cut() -> None:
    intake = Intake(SEGMENTER, endpointing=True)
    assert (intake.open_samples, intake.open_utterance(), intake.finish(), intake.skip()) == (0, None, [], 0)


def test_the_clock_goes_on_over_what_is_skipped() -> None:
    intake = Intake(SEGMENTER, endpointing=True)
    assert heard(intake, 4) == [SpeechBegan(0, 0)]
    intake.push(audio_of(1)[:100])
    assert intake.skip(1_000) == 4 * FRAME_SAMPLES + 1_100
    assert intake.received_samples == 4 * FRAME_SAMPLES + 1_100
    heard(intake, 4)
    utterance = intake.open_utterance()
    assert utterance is not None
    assert (utterance.index, utterance.start_sample) == (0, 4 * FRAME_SAMPLES + 1_100)


def test_a_new_config_keeps_the_clock_and_the_unfinished_frame() -> None:
    intake = Intake(SEGMENTER, endpointing=True)
    heard(intake, 4)
    (cut,) = intake.cut(CutReason.FINALIZE)
    assert isinstance(cut, UtteranceCut)
    intake.push(audio_of(1)[:100])
    assert list(intake.score([])) == []
    intake.configure(replace(SEGMENTER, silence_ms=80), endpointing=False)
    intake.configure(replace(SEGMENTER, silence_ms=80), endpointing=False)
    assert intake.unscored_samples == 100
    assert heard(intake, 4, score=0.0) == [SpeechBegan(1, 80, detected=False)]
    events = intake.finish()
    assert isinstance(events[0], UtteranceCut)
    assert events[0].utterance.index == 1
    np.testing.assert_array_equal(events[0].utterance.samples, np.concatenate((audio_of(1)[:100], audio_of(4))))


def test_what_may_open_counts_before_it_opens() -> None:
    intake = Intake(SEGMENTER, endpointing=True)
    before = intake.held_samples
    assert before >= 80 * 16
    for _ in range(40):
        held = intake.held_samples
        heard(intake, 1)
        assert intake.open_samples <= held + FRAME_SAMPLES


def test_as_many_scores_as_frames() -> None:
    intake = Intake(SEGMENTER, endpointing=True)
    intake.push(audio_of(2))
    with pytest.raises(ValueError, match="640 samples are not 1 frames"):
        list(intake.score([0.0]))
