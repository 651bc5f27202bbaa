"""The WebM demuxer: elements, tracks, blocks, lying sizes."""

import tracemalloc

import pytest

from gateway.audio.opus_head import MAX_PACKET_BYTES, OpusHead
from gateway.audio.webm import WebmDemuxer
from gateway.core.errors import BadAudio, UnsupportedAudio
from tests.fixtures.live_audio import (
    UNKNOWN_SIZE,
    block,
    cluster,
    element,
    opus_track,
    track_entry,
    vint,
    webm_head,
)

HEAD = b"OpusHead\1\1\x38\1\x80\xbb\0\0\0\0\0"
BEGUN = OpusHead(HEAD)
START = webm_head(opus_track(HEAD))


def demuxed(data: bytes, piece_bytes: int = 1 << 20) -> list[OpusHead | bytes]:
    demuxer = WebmDemuxer()
    return [item for at in range(0, len(data), piece_bytes) for item in demuxer.push(data[at : at + piece_bytes])]


@pytest.mark.parametrize("piece_bytes", [1, 10, 1 << 20])
def test_blocks_come_out_of_clusters_of_known_and_unknown_size(piece_bytes: int) -> None:
    known = element(0x1F43B675, element(0xE7, b"\0"), block(b"c"), block(b"d" * 300))
    data = START + cluster(block(b"a"), block(b"b" * 130)) + known + element(0x1C53BB6B, b"cues") + cluster(block(b"e"))
    assert demuxed(data, piece_bytes) == [BEGUN, b"a", b"b" * 130, b"c", b"d" * 300, b"e"]


def test_block_groups_are_opened() -> None:
    inside = element(0xA1, vint(1), b"\0\0\0a")
    group = element(0xA0, inside, element(0x9B, b"\x14"), element(0x75A2, b"\0\1"))
    assert demuxed(START + cluster(group, block(b"b"))) == [BEGUN, b"a", b"b"]


def test_other_tracks_are_left_out() -> None:
    tracks = track_entry(1, b"V_VP8", kind=1), opus_track(HEAD, 2), opus_track(HEAD, 3), track_entry(200, b"A_VORBIS")
    blocks = (block(b"vv", track=1), block(b"a", track=2), block(b"bb", track=3), block(b"cc", track=200))
    picture = block(bytes(MAX_PACKET_BYTES + 1), track=1)
    assert demuxed(webm_head(*tracks) + cluster(*blocks, picture, block(b"d", track=2)), 5_000) == [BEGUN, b"a", b"d"]


def test_track_numbers_may_be_long() -> None:
    assert demuxed(webm_head(opus_track(HEAD, 200)) + cluster(block(b"a", track=200))) == [BEGUN, b"a"]


def test_names_may_be_padded() -> None:
    track = track_entry(1, b"A_OPUS\0\0", element(0x63A2, HEAD))
    assert demuxed(webm_head(track) + cluster(block(b"a"))) == [BEGUN, b"a"]


def test_a_second_recording_takes_over() -> None:
    other = webm_head(opus_track(HEAD, 2))
    data = START + cluster(block(b"a")) + other + cluster(block(b"b", track=2), block(b"c"))
    assert demuxed(data) == [BEGUN, b"a", BEGUN, b"b"]


def test_empty_blocks_are_left_out() -> None:
    assert demuxed(START + cluster(block(b""), block(b"a"))) == [BEGUN, b"a"]


def test_the_longest_packet_is_kept_and_a_longer_one_is_not() -> None:
    longest, longer = bytes(MAX_PACKET_BYTES), bytes(MAX_PACKET_BYTES + 8)
    assert demuxed(START + cluster(block(longest), block(longer), block(b"a"))) == [BEGUN, longest, b"a"]


@pytest.mark.parametrize(
    "head",
    [
        webm_head(),
        webm_head(track_entry(1, b"A_VORBIS")),
        webm_head(track_entry(1, b"V_VP8", kind=1)),
        webm_head(element(0xAE)),
        webm_head(element(0xAE, bytes(70_000))),
        START + webm_head(),
    ],
)
def test_a_stream_without_opus_is_refused(head: bytes) -> None:
    with pytest.raises(UnsupportedAudio):
        demuxed(head + cluster(block(b"a")))


def test_what_is_packed_otherwise_is_refused() -> None:
    packed = element(0x6D80, element(0x6240, b"\0"))
    for data in (
        webm_head(track_entry(1, b"A_OPUS", packed, element(0x63A2, HEAD))),
        START + cluster(block(b"\1ab", flags=0x82)),
    ):
        with pytest.raises(UnsupportedAudio):
            demuxed(data)


@pytest.mark.parametrize(
    "damaged",
    [
        cluster(b"\0"),
        cluster(b"\x08\0\0\0\0"),
        cluster(element(0xA3, size=b"\0")),
        cluster(element(0xA3, size=b"\xff")),
        cluster(element(0xEC, size=UNKNOWN_SIZE)),
        cluster(element(0xA3)),
        cluster(element(0xA3, b"\x81\0\0")),
        cluster(element(0xA3, b"\x40")),
        cluster(element(0xA3, b"\0\0\0\0a")),
        webm_head(track_entry(1, b"A_OPUS")),
        webm_head(track_entry(1, b"A_OPUS", element(0x63A2, HEAD[:18]))),
        webm_head(element(0xAE, element(0xD7, b"\1", size=vint(9)))),
        webm_head(element(0xAE, element(0xD7, size=b"\xff"))),
        webm_head(element(0xAE, b"\xd7")),
        webm_head(element(0xAE, size=UNKNOWN_SIZE)),
    ],
)
def test_damage_is_refused(damaged: bytes) -> None:
    with pytest.raises(BadAudio):
        demuxed(START + damaged)


def test_a_head_of_another_kind_is_refused() -> None:
    with pytest.raises(UnsupportedAudio):
        demuxed(webm_head(opus_track(HEAD[:9] + b"\3" + HEAD[10:])))


def test_an_element_that_claims_everything_is_skipped_in_bounded_memory() -> None:
    demuxer = WebmDemuxer()
    assert list(demuxer.push(START)) == [BEGUN]
    tracemalloc.start()
    try:
        assert not list(demuxer.push(element(0xA3, size=(1 << 56 | 1 << 55).to_bytes(8, "big"))))
        for _ in range(100):
            assert not list(demuxer.push(bytes(100_000)))
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()
