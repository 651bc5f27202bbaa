"""Live Opus: what comes out of a browser's recording, and what a hostile one costs."""

import io
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.audio.decode import decode
from gateway.audio.encodings import LiveDecoder
from gateway.audio.opus import MAX_BYTES_WITHOUT_AUDIO, MAX_PUSH_S, OpusContainer, OpusPackets
from gateway.core.audio import SAMPLE_RATE_HZ, Samples
from gateway.core.errors import AudioTooLong, BadAudio, TritoneError, UnsupportedAudio
from tests.fixtures.audio_files import encode, speech
from tests.fixtures.live_audio import (
    Opus,
    block,
    cluster,
    element,
    file_of,
    ogg_packet,
    ogg_stream,
    opus,
    opus_track,
    prefixed,
    webm_head,
    webm_stream,
)

CLIP = speech("train")[: 2 * SAMPLE_RATE_HZ]
RECORDING = opus(CLIP)
SHORT = Opus(RECORDING.head, RECORDING.packets[:30])
STREAMS: dict[str, tuple[bytes, Callable[[], LiveDecoder]]] = {
    "ogg": (ogg_stream(SHORT), OpusContainer),
    "webm": (webm_stream(SHORT), OpusContainer),
    "packets": (prefixed(SHORT.packets), OpusPackets),
}
# 48 frames without content: 120 ms in 2 bytes.
LONG_PACKET = b"\xe3\x30"


def live(decoder: LiveDecoder, data: bytes, *cuts: int) -> Samples:
    edges = [0, *sorted(cuts), len(data)]
    pieces = [decoder.push(data[start:end]) for start, end in pairwise(edges)]
    return np.concatenate([*pieces, decoder.finish()])


def offline(data: bytes) -> Samples:
    return np.concatenate(list(decode(io.BytesIO(data), max_audio_s=60)))


def same(heard: Samples, expected: Samples, *, tolerance: int = 2) -> None:
    """The last packet's padding is left in; another decoder may round differently."""
    assert 0 <= len(heard) - len(expected) <= 0.02 * SAMPLE_RATE_HZ
    # Where the padding begins the filter has other neighbours.
    compared = len(expected) - 100
    np.testing.assert_allclose(heard[:compared].astype(int), expected[:compared], atol=tolerance)


@pytest.mark.parametrize("container", ["ogg", "webm"])
def test_a_file_sounds_as_it_does_offline(container: str) -> None:
    data = encode(speech("weather"), container, "libopus", 48_000)
    same(live(OpusContainer(), data, 100, 5_000), offline(data))


@pytest.mark.parametrize(
    ("container", "options"),
    [("webm", {"live": "1"}), ("webm", {"cluster_time_limit": "100"}), ("ogg", {"page_duration": "20000"})],
)
def test_a_stream_that_nobody_went_back_in_sounds_as_it_does_offline(container: str, options: dict[str, str]) -> None:
    data = file_of(CLIP, container, **options)
    same(live(OpusContainer(), data, 100, 5_000), offline(data))


@pytest.mark.parametrize("stream", [ogg_stream, webm_stream])
def test_a_browsers_recording_sounds_as_it_does_offline(stream: Callable[[Opus], bytes]) -> None:
    same(live(OpusContainer(), stream(RECORDING)), offline(stream(RECORDING)))


@pytest.mark.parametrize("options", [{}, {"application": "voip", "b": "24000"}, {"frame_duration": "60", "b": "12000"}])
def test_every_container_gives_the_same_samples(options: dict[str, str]) -> None:
    recording = opus(CLIP, **options)
    heard = live(OpusContainer(), ogg_stream(recording))
    np.testing.assert_array_equal(live(OpusContainer(), webm_stream(recording)), heard)
    assert np.corrcoef(heard[: len(CLIP)].astype(float), CLIP)[0, 1] > 0.8


@pytest.mark.parametrize("options", [{}, {"application": "voip", "b": "24000"}])
def test_two_channels_become_their_mean(options: dict[str, str]) -> None:
    other = speech("river")[: len(CLIP)]
    both: NDArray[np.int16] = np.stack([CLIP, other])
    data = webm_stream(opus(both, **options))
    heard, mean = live(OpusContainer(), data).astype(float), offline(data).astype(float)
    heard = heard[: len(mean)]
    assert np.corrcoef(heard, mean[: len(heard)])[0, 1] > 0.99
    assert heard.std() == pytest.approx(mean.std(), rel=0.05)


def test_packets_with_their_lengths_sound_as_in_a_container() -> None:
    heard = live(OpusPackets(), prefixed(RECORDING.packets))
    pre_skip = int.from_bytes(RECORDING.head[10:12], "little") // 3
    expected = live(OpusContainer(), webm_stream(RECORDING))
    np.testing.assert_allclose(heard[pre_skip + 100 :][: len(expected) - 200], expected[100:-100], atol=2)


@pytest.mark.parametrize("which", ["ogg", "webm", "packets"])
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 1_000_000), max_size=30))
def test_any_division_gives_the_same_samples(which: str, cuts: list[int]) -> None:
    data, decoder = STREAMS[which]
    np.testing.assert_array_equal(live(decoder(), data, *(cut % len(data) for cut in cuts)), live(decoder(), data))


@pytest.mark.parametrize("stream", [ogg_stream, webm_stream])
def test_a_second_recording_goes_on_where_the_first_ended(stream: Callable[[Opus], bytes]) -> None:
    once, twice = live(OpusContainer(), stream(RECORDING)), live(OpusContainer(), stream(RECORDING) * 2)
    assert abs(len(twice) - 2 * len(once)) <= 1
    np.testing.assert_array_equal(twice[: len(once) - 100], once[:-100])
    np.testing.assert_allclose(twice[-len(once) + 400 :].astype(int), once[400:], atol=300)


@pytest.mark.parametrize("stream", [ogg_stream, webm_stream])
def test_what_is_cut_off_at_the_end_is_left_out(stream: Callable[[Opus], bytes]) -> None:
    shorter = Opus(RECORDING.head, RECORDING.packets[:-1])
    data = webm_stream(shorter) if stream is webm_stream else ogg_stream(RECORDING)
    cut = data + block(RECORDING.packets[-1])[:-1] if stream is webm_stream else data[:-1]
    np.testing.assert_array_equal(live(OpusContainer(), cut), live(OpusContainer(), webm_stream(shorter)))


@pytest.mark.parametrize("stream", [ogg_stream, webm_stream])
@pytest.mark.parametrize("kept_bytes", [1, 3, 4, 20, 40])
def test_a_stream_may_not_end_before_it_begins(stream: Callable[[Opus], bytes], kept_bytes: int) -> None:
    decoder = OpusContainer()
    decoder.push(stream(RECORDING)[:kept_bytes])
    with pytest.raises(BadAudio):
        decoder.finish()


def test_a_recording_of_nothing_is_nothing() -> None:
    assert len(live(OpusContainer(), webm_head(opus_track(RECORDING.head)))) == 0


@pytest.mark.parametrize("data", [b"RIFF", b"\0\0\0\x20ftypmp42", b"fLaC", b"ID3\4", bytes(4), b"Oggs"])
def test_another_container_is_refused_at_once(data: bytes) -> None:
    decoder = OpusContainer()
    decoder.push(data[:3])
    with pytest.raises(UnsupportedAudio):
        decoder.push(data[3:])


def test_a_packet_that_is_no_opus_is_refused() -> None:
    for decoder, data in (
        (OpusPackets(), prefixed([RECORDING.packets[0], b"\xff"])),
        (OpusContainer(), webm_head(opus_track(RECORDING.head)) + cluster(block(b"\xff"))),
    ):
        with pytest.raises(BadAudio):
            decoder.push(data)


@pytest.mark.parametrize("length_bytes", [0, 4_097, 65_535])
def test_a_packet_of_an_impossible_length_is_refused(length_bytes: int) -> None:
    with pytest.raises(BadAudio, match="1 to 4096"):
        OpusPackets().push(prefixed(RECORDING.packets[:3]) + length_bytes.to_bytes(2, "little"))


def test_the_longest_packet_is_taken() -> None:
    packet = RECORDING.packets[5]
    # One frame and padding: RFC 6716, 3.2.5.
    full, last = divmod(4_096 - 2 - len(packet), 255)
    padded = bytes([packet[0] | 3, 0x41, *[255] * full, last]) + packet[1:] + bytes(254 * full + last)
    assert len(padded) == 4_096
    np.testing.assert_array_equal(live(OpusPackets(), prefixed([padded])), live(OpusPackets(), prefixed([packet])))


@pytest.mark.parametrize("kept_bytes", [1, 2, 50])
def test_packets_may_not_end_within_one(kept_bytes: int) -> None:
    decoder = OpusPackets()
    decoder.push(prefixed(RECORDING.packets[:2]) + prefixed(RECORDING.packets[2:3])[:kept_bytes])
    with pytest.raises(BadAudio):
        decoder.finish()


def test_a_header_may_skip_whole_packets() -> None:
    head = RECORDING.head[:10] + (24_000).to_bytes(2, "little") + RECORDING.head[12:]
    skipped = live(OpusContainer(), webm_stream(Opus(head, RECORDING.packets)))
    assert len(live(OpusContainer(), webm_stream(RECORDING))) - len(skipped) == (24_000 - 312) // 3


@pytest.mark.parametrize(
    ("decoder", "data"),
    [
        (OpusPackets, prefixed([LONG_PACKET]) * 250_000),
        (OpusContainer, webm_head(opus_track(RECORDING.head)) + cluster(block(LONG_PACKET) * 100_000)),
    ],
    ids=["packets", "webm"],
)
def test_hours_in_a_megabyte_are_refused_in_bounded_memory(decoder: Callable[[], LiveDecoder], data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(AudioTooLong):
            decoder().push(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 4 * MAX_PUSH_S * SAMPLE_RATE_HZ
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (webm_head(opus_track(RECORDING.head)), element(0xEC, bytes(50_000))),
        (webm_head(opus_track(RECORDING.head)) + element(0xEC, size=b"\x01" + b"\xff" * 6 + b"\xfe"), bytes(50_000)),
        (webm_head(opus_track(RECORDING.head)) + cluster(), block(bytes(50_000), track=2)),
        (ogg_packet(RECORDING.head, flags=2), ogg_packet(bytes(50_000), serial=8)),
        (ogg_packet(RECORDING.head, flags=2), ogg_packet(RECORDING.head + bytes(999), flags=2, serial=8) * 50),
    ],
    ids=["small elements", "a huge element", "another track", "another stream", "other streams' first pages"],
)
def test_a_stream_without_audio_ends_in_bounded_memory(start: bytes, more: bytes) -> None:
    decoder = OpusContainer()
    decoder.push(start)
    tracemalloc.start()
    try:
        with pytest.raises(BadAudio, match="without audio"):
            for _ in range(MAX_BYTES_WITHOUT_AUDIO // len(more) + 1):
                decoder.push(more)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("which", ["ogg", "webm", "packets"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_stream_is_audio_or_a_typed_error(which: str, data: st.DataObject) -> None:
    whole, decoder = STREAMS[which]
    damaged = bytearray(whole[:1_500])
    for at in data.draw(st.lists(st.integers(4, len(damaged) - 1), min_size=1, max_size=5)):
        damaged[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        heard = live(decoder(), bytes(damaged), len(damaged) // 3)
    except TritoneError as error:
        assert isinstance(error, BadAudio | UnsupportedAudio)
    else:
        assert heard.dtype == np.int16
        assert len(heard) < MAX_PUSH_S * SAMPLE_RATE_HZ
