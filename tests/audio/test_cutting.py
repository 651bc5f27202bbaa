"""A whole file becomes utterances on its own clock."""

import io
import tracemalloc

import numpy as np
import pytest

from gateway.audio.cutting import AudioEnd, cut_audio
from gateway.audio.decode import decode
from gateway.audio.vad import scorer_for
from gateway.core.audio import SAMPLE_RATE_HZ, CutReason, Quiet
from gateway.core.errors import AudioTooLong
from gateway.core.segmenter import SegmenterConfig, UtteranceCut
from tests.fixtures.audio_files import TRANSCRIPTS, joined, silence, speech, wav_bytes
from tests.fixtures.bad_audio import silent_flac, with_flac_length

CONFIG = SegmenterConfig()


def cut(data: bytes, scorer: str = "webrtc", config: SegmenterConfig = CONFIG) -> tuple[list[UtteranceCut], AudioEnd]:
    *cuts, end = cut_audio(decode(io.BytesIO(data), max_audio_s=7_200), config=config, scorer=scorer_for(scorer))
    assert isinstance(end, AudioEnd)
    assert all(isinstance(event, UtteranceCut) for event in cuts)
    return [event for event in cuts if isinstance(event, UtteranceCut)], end


def test_two_clips_are_two_utterances_at_their_places() -> None:
    samples = np.concatenate((silence(2), joined(2, "weather", "river")))
    cuts, end = cut(wav_bytes(samples))
    assert end.duration_s == len(samples) / SAMPLE_RATE_HZ
    assert [event.reason for event in cuts] == [CutReason.SILENCE, CutReason.SILENCE]
    second_s = 4 + len(speech("weather")) / SAMPLE_RATE_HZ
    for event, starts_s, name in zip(cuts, (2, second_s), ("weather", "river"), strict=True):
        assert event.utterance.start_s == pytest.approx(starts_s, abs=0.4)
        assert event.utterance.duration_s == pytest.approx(len(speech(name)) / SAMPLE_RATE_HZ, abs=0.8)
        at = event.utterance.start_sample
        np.testing.assert_array_equal(event.utterance.samples, samples[at : at + len(event.utterance.samples)])


def test_without_a_detector_every_sample_is_in_an_utterance() -> None:
    samples = joined(0.7, *TRANSCRIPTS)[:-123]
    cuts, end = cut(wav_bytes(samples), "none")
    np.testing.assert_array_equal(np.concatenate([event.utterance.samples for event in cuts]), samples)
    assert [event.reason for event in cuts] == [CutReason.MAX_LENGTH, CutReason.CLOSE]
    assert all(25 <= event.utterance.duration_s <= 28 for event in cuts[:-1])
    assert end.duration_s == len(samples) / SAMPLE_RATE_HZ


def test_cuts_for_length_fall_into_pauses() -> None:
    samples = joined(0.7, *TRANSCRIPTS)
    (first, *_), _ = cut(wav_bytes(samples), "none", SegmenterConfig(max_utterance_ms=12_000))
    at = first.utterance.start_sample + len(first.utterance.samples)
    assert np.abs(samples[at - 400 : at + 400].astype(int)).max() < 300


def test_silence_has_no_utterances() -> None:
    assert cut(wav_bytes(silence(3))) == ([], AudioEnd(3.0))


def test_a_file_of_whole_frames_has_no_rest() -> None:
    assert cut(wav_bytes(silence(0.04)), "none")[1] == AudioEnd(0.04)


def test_a_file_that_is_too_long_gives_what_came_before() -> None:
    pieces = decode(io.BytesIO(with_flac_length(silent_flac(0.1), 0)), max_audio_s=90)
    events = cut_audio(pieces, config=CONFIG, scorer=scorer_for("none"))
    assert [next(events) for _ in range(3)]
    with pytest.raises(AudioTooLong):
        next(events)


def test_memory_does_not_grow_with_the_file() -> None:
    data = silent_flac(0.5)
    tracemalloc.start()
    try:
        cuts = 0
        pieces = decode(io.BytesIO(data), max_audio_s=7_200)
        for _ in cut_audio(pieces, config=CONFIG, scorer=scorer_for("none")):
            cuts += 1
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert cuts > 60
    assert peak_bytes < 8 << 20


def test_long_silence_lets_others_go_on() -> None:
    samples = np.concatenate((silence(100), speech("weather"), silence(40)))
    events = list(cut_audio([samples], config=CONFIG, scorer=scorer_for("webrtc")))
    assert [type(event) for event in events] == [UtteranceCut, AudioEnd]
    pieces = np.split(samples, range(SAMPLE_RATE_HZ, len(samples), SAMPLE_RATE_HZ))
    events = list(cut_audio(pieces, config=CONFIG, scorer=scorer_for("webrtc")))
    assert [type(event) for event in events] == [Quiet, Quiet, Quiet, UtteranceCut, Quiet, AudioEnd]
