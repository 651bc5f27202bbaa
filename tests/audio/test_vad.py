"""The scorers find the speech in speech, and nothing in silence or noise."""

from collections.abc import Callable

import numpy as np
import pytest

from gateway.audio.silero import SileroScorer
from gateway.audio.vad import SCORERS, WebRtcScorer, scorer_for
from gateway.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from gateway.core.segmenter import Segmenter, UtteranceCut
from gateway.ports import SpeechScorer
from gateway.settings import VADS, Settings
from tests.fixtures.audio_files import TRANSCRIPTS, silence, speech

DETECTORS = (WebRtcScorer, SileroScorer)


def frames_of(samples: Samples) -> Samples:
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]


@pytest.mark.parametrize("name", TRANSCRIPTS)
@pytest.mark.parametrize("detector", DETECTORS)
def test_speech_is_speech(name: str, detector: Callable[[], SpeechScorer]) -> None:
    scores = np.array(detector().score(frames_of(speech(name))))
    assert 0 <= scores.min() <= scores.max() <= 1
    assert scores.max() > 0.95
    assert np.mean(scores > 0.5) > 0.7


@pytest.mark.parametrize("level", [0, 8])
@pytest.mark.parametrize("detector", DETECTORS)
def test_silence_and_faint_noise_are_not(level: int, detector: Callable[[], SpeechScorer]) -> None:
    noise = np.random.default_rng(0).normal(0, level, 5 * SAMPLE_RATE_HZ).astype(np.int16)
    assert max(detector().score(noise)) < 0.2


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_score_falls_after_speech_and_the_state_is_kept(detector: Callable[[], SpeechScorer]) -> None:
    samples = frames_of(np.concatenate((speech("weather"), silence(1))))
    whole = detector().score(samples)
    scorer = detector()
    pieces = [score for frame in samples.reshape(-1, FRAME_SAMPLES) for score in scorer.score(frame)]
    assert pieces == whole
    assert whole[-1] < 0.05
    assert scorer.score(np.empty(0, np.int16)) == []


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_segmenter_finds_each_clip_with_it(detector: Callable[[], SpeechScorer]) -> None:
    names = ("weather", "letter", "river")
    parts = [part for name in names for part in (silence(1.5), speech(name))]
    samples = frames_of(np.concatenate((*parts, silence(1.5))))
    ends = np.cumsum([len(part) for part in parts]) / SAMPLE_RATE_HZ
    segmenter = Segmenter(Settings().file_segmenter)
    events = [*segmenter.push(samples, detector().score(samples)), *segmenter.finish()]
    cuts = [event.utterance for event in events if isinstance(event, UtteranceCut)]
    for at, name in enumerate(names):
        start_s, end_s = ends[2 * at], ends[2 * at + 1]
        inside = [cut for cut in cuts if start_s - 0.5 <= cut.start_s <= end_s]
        assert sum(cut.duration_s for cut in inside) > 0.8 * len(speech(name)) / SAMPLE_RATE_HZ
        assert all(cut.start_s + cut.duration_s <= end_s + 0.5 for cut in inside)
    assert sum(cut.duration_s for cut in cuts) < sum(len(speech(name)) for name in names) / SAMPLE_RATE_HZ + 2


@pytest.mark.parametrize("detector", DETECTORS)
def test_half_a_frame_is_refused(detector: Callable[[], SpeechScorer]) -> None:
    with pytest.raises(ValueError, match="reshape"):
        detector().score(np.zeros(100, np.int16))


def test_scorers_by_name_are_fresh_ones() -> None:
    assert tuple(SCORERS) == VADS
    for name in SCORERS:
        assert scorer_for(name) is not scorer_for(name)
        assert len(scorer_for(name).score(silence(1))) == 50
    assert scorer_for("none").score(silence(0.04)) == [1, 1]
    with pytest.raises(ValueError, match="no speech scorer 'x'; there are webrtc, silero, none"):
        scorer_for("x")
