"""The scorers find the speech in speech, and nothing in silence or noise."""

import numpy as np
import pytest

from gateway.audio.vad import SCORERS, WebRtcScorer, scorer_for
from gateway.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from tests.fixtures.audio_files import TRANSCRIPTS, silence, speech


def frames_of(samples: Samples) -> Samples:
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_speech_is_speech(name: str) -> None:
    scores = np.array(WebRtcScorer().score(frames_of(speech(name))))
    assert 0 <= scores.min() <= scores.max() == 1
    assert np.mean(scores > 0.5) > 0.7


@pytest.mark.parametrize("level", [0, 8])
def test_silence_and_faint_noise_are_not(level: int) -> None:
    noise = np.random.default_rng(0).normal(0, level, 5 * SAMPLE_RATE_HZ).astype(np.int16)
    assert max(WebRtcScorer().score(noise)) == 0


def test_the_score_falls_after_speech_and_the_state_is_kept() -> None:
    samples = frames_of(np.concatenate((speech("weather"), silence(1))))
    whole = WebRtcScorer().score(samples)
    scorer = WebRtcScorer()
    pieces = [score for frame in samples.reshape(-1, FRAME_SAMPLES) for score in scorer.score(frame)]
    assert pieces == whole
    assert whole[-1] == 0
    assert scorer.score(np.empty(0, np.int16)) == []


def test_half_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        WebRtcScorer().score(np.zeros(100, np.int16))


def test_scorers_by_name_are_fresh_ones() -> None:
    for name in SCORERS:
        assert scorer_for(name) is not scorer_for(name)
        assert len(scorer_for(name).score(silence(1))) == 50
    assert scorer_for("none").score(silence(0.04)) == [1, 1]
    with pytest.raises(ValueError, match="no speech scorer 'x'; there are webrtc, none"):
        scorer_for("x")
