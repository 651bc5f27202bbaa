"""Live PCM, and the seam all live decoders share."""

import gc
import io
import weakref
from itertools import pairwise

import av
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.audio.encodings import ENCODINGS, PIECE_BYTES, LiveDecoder, decode_packed, live_decoder, push_in_pieces
from gateway.audio.opus import OpusPackets
from gateway.audio.resample import Resampler
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong, BadAudio, TritoneError, UnsupportedAudio
from tests.fixtures.audio_files import speech
from tests.fixtures.live_audio import opus, prefixed, webm_stream

PCM = ("pcm16", "f32", "mulaw", "alaw")
CLIP = speech("weather")[:SAMPLE_RATE_HZ]
RECORDING = opus(CLIP)


def live(decoder: LiveDecoder, data: bytes, *cuts: int) -> Samples:
    edges = [0, *sorted(cuts), len(data)]
    pieces = [decoder.push(data[start:end]) for start, end in pairwise(edges)]
    return np.concatenate([*pieces, decoder.finish()])


def g711(samples: Samples, codec: str) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = 8_000
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


def stream(encoding: str) -> bytes:
    return {
        "pcm16": CLIP.tobytes(),
        "f32": (CLIP / 32_768).astype("<f4").tobytes(),
        "mulaw": g711(CLIP, "pcm_mulaw"),
        "alaw": g711(CLIP, "pcm_alaw"),
        "opus": webm_stream(RECORDING),
    }[encoding]


def test_pcm16_at_16_khz_comes_out_as_it_went_in() -> None:
    np.testing.assert_array_equal(live(live_decoder("pcm16", 16_000), stream("pcm16"), 1, 2, 501), CLIP)


def test_f32_comes_out_as_the_int16_it_stands_for() -> None:
    np.testing.assert_array_equal(live(live_decoder("f32", 16_000), stream("f32"), 3, 4, 5, 1_003), CLIP)


def test_f32_that_is_too_loud_is_clipped() -> None:
    loud = np.array([1, 1.5, 3e38, -1, -1.5, -3e38, 0.5, 1e-40, -0.0], "<f4")
    heard = live(live_decoder("f32", 16_000), loud.tobytes())
    assert heard.tolist() == [32_767] * 3 + [-32_768] * 3 + [16_384, 0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_f32_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(BadAudio):
        live_decoder("f32", 16_000).push(np.array([0, value, 0], "<f4").tobytes())


@pytest.mark.parametrize(("encoding", "codec"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_g711_has_the_256_values_that_ffmpeg_has(encoding: str, codec: str) -> None:
    every = bytes(range(256))
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    expected: NDArray[np.int16] = decoder.decode(av.Packet(every))[0].to_ndarray()[0]
    np.testing.assert_array_equal(live(live_decoder(encoding, 16_000), every), expected)


@pytest.mark.parametrize("encoding", PCM)
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 24_000, 44_100, 48_000])
def test_other_rates_are_resampled(encoding: str, rate_hz: int) -> None:
    decoded = live(live_decoder(encoding, 16_000), stream(encoding))
    resampler = Resampler(rate_hz)
    expected = np.concatenate([resampler.push(decoded), resampler.finish()])
    np.testing.assert_array_equal(live(live_decoder(encoding, rate_hz), stream(encoding), 7, 1_111, 9_999), expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_division_gives_the_same_samples(encoding: str, data: st.DataObject) -> None:
    whole = stream(encoding)
    rate_hz = data.draw(st.sampled_from([8_000, 16_000, 44_100]))
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=40))
    expected = live(live_decoder(encoding, rate_hz), whole)
    np.testing.assert_array_equal(live(live_decoder(encoding, rate_hz), whole, *cuts), expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bytes_one_at_a_time_give_the_same_samples(encoding: str) -> None:
    whole = stream(encoding)[:8_000]
    expected = live(live_decoder(encoding, 48_000), whole)
    np.testing.assert_array_equal(live(live_decoder(encoding, 48_000), whole, *range(1, len(whole))), expected)


@pytest.mark.parametrize(("encoding", "odd_bytes"), [("pcm16", 1), ("f32", 1), ("f32", 2), ("f32", 3)])
def test_a_stream_may_not_end_within_a_sample(encoding: str, odd_bytes: int) -> None:
    decoder = live_decoder(encoding, 16_000)
    decoder.push(bytes(8 + odd_bytes))
    with pytest.raises(BadAudio):
        decoder.finish()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_nothing_gives_nothing(encoding: str, rate_hz: int) -> None:
    assert len(live(live_decoder(encoding, rate_hz), b"")) == 0


@pytest.mark.parametrize("encoding", ["", "PCM16", "opus_packets", "mp3"])
def test_an_unknown_encoding_is_refused_with_a_list(encoding: str) -> None:
    with pytest.raises(UnsupportedAudio, match="pcm16, f32, mulaw, alaw, opus") as refused:
        live_decoder(encoding, 16_000)
    assert refused.value.param == "encoding"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate_hz", [-1, 0, 7_999, 48_001, 2**31])
def test_a_rate_out_of_range_is_refused(encoding: str, rate_hz: int) -> None:
    with pytest.raises(UnsupportedAudio, match="8000 to 48000") as refused:
        live_decoder(encoding, rate_hz)
    assert refused.value.param == "sample_rate"


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.binary(max_size=300), max_size=8))
def test_garbage_is_audio_or_a_typed_error(encoding: str, pieces: list[bytes]) -> None:
    decoder = live_decoder(encoding, 16_000)
    try:
        heard = np.concatenate([*map(decoder.push, pieces), decoder.finish()])
    except TritoneError as error:
        assert isinstance(error, BadAudio | UnsupportedAudio)
    else:
        assert heard.dtype == np.int16


def test_pieces_are_pushed_when_they_are_asked_for() -> None:
    pushed = push_in_pieces(live_decoder("pcm16", 16_000), CLIP.tobytes())
    assert len(next(pushed)) == PIECE_BYTES // 2
    np.testing.assert_array_equal(np.concatenate(list(pushed)), CLIP[PIECE_BYTES // 2 :])


def test_a_body_is_decoded_whole() -> None:
    np.testing.assert_array_equal(packed(live_decoder("pcm16", 16_000), CLIP.tobytes(), max_audio_s=1), CLIP)
    packets = prefixed(RECORDING.packets)
    heard = packed(OpusPackets(), packets, max_audio_s=30)
    np.testing.assert_array_equal(heard, live(OpusPackets(), packets))


def test_a_body_that_is_too_long_or_empty_is_refused() -> None:
    with pytest.raises(AudioTooLong):
        packed(live_decoder("pcm16", 16_000), CLIP.tobytes(), max_audio_s=0.99)
    with pytest.raises(BadAudio):
        packed(live_decoder("pcm16", 16_000), b"", max_audio_s=1)


def packed(decoder: LiveDecoder, body: bytes, *, max_audio_s: float) -> Samples:
    return np.concatenate(list(decode_packed(io.BytesIO(body), decoder, max_audio_s=max_audio_s)))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_everything_is_freed_with_the_decoder(encoding: str) -> None:
    data = stream(encoding)[:4_000]
    process = psutil.Process()

    def hundred_sessions() -> int:
        decoders = [live_decoder(encoding, 48_000) for _ in range(100)]
        for decoder in decoders:
            decoder.push(data)
        return process.memory_info().rss

    gc.disable()
    try:
        first_bytes = hundred_sessions()
        decoder = live_decoder(encoding, 48_000)
        decoder.push(data)
        freed = weakref.ref(decoder)
        del decoder
        assert freed() is None
        assert max(hundred_sessions() for _ in range(10)) < first_bytes + (8 << 20)
    finally:
        gc.enable()
