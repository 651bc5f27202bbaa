"""The Ogg demuxer: pages, packets, other streams, damage."""

import tracemalloc

import pytest

from gateway.audio.ogg import OggDemuxer
from gateway.audio.opus_head import MAX_PACKET_BYTES, OpusHead
from gateway.core.errors import BadAudio, UnsupportedAudio
from tests.fixtures.live_audio import CONTINUED, FIRST, LAST, TAGS, lacing, ogg_packet, ogg_page

HEAD = b"OpusHead\1\1\x38\1\x80\xbb\0\0\0\0\0"
START = ogg_packet(HEAD, flags=FIRST) + ogg_packet(TAGS)
BEGUN = OpusHead(HEAD)


def demuxed(data: bytes, piece_bytes: int = 1 << 20) -> list[OpusHead | bytes]:
    demuxer = OggDemuxer()
    return [item for at in range(0, len(data), piece_bytes) for item in demuxer.push(data[at : at + piece_bytes])]


@pytest.mark.parametrize("piece_bytes", [1, 10, 1 << 20])
def test_packets_share_pages_and_span_them(piece_bytes: int) -> None:
    packets = [b"a", b"b" * 254, b"c" * 255, b"d" * 300, b"e" * 700]
    together = ogg_page([n for packet in packets[:3] for n in lacing(packet)], b"".join(packets[:3]))
    apart = (
        ogg_page([255, 45, 255], packets[3] + packets[4][:255]),
        ogg_page([255], packets[4][255:510], flags=CONTINUED),
        ogg_page([190], packets[4][510:], flags=CONTINUED | LAST),
    )
    assert demuxed(START + together + b"".join(apart), piece_bytes) == [BEGUN, *packets]


def test_a_packet_may_end_with_an_empty_segment_on_the_next_page() -> None:
    assert demuxed(START + ogg_page([255], b"x" * 255) + ogg_page([0, 1], b"y", flags=CONTINUED)) == [
        BEGUN,
        b"x" * 255,
        b"y",
    ]


def test_empty_pages_and_packets_are_left_out() -> None:
    assert demuxed(START + ogg_page([], b"") + ogg_page([0, 1, 0], b"x")) == [BEGUN, b"x"]


def test_tags_of_any_length_are_not_held() -> None:
    demuxer = OggDemuxer()
    assert list(demuxer.push(ogg_packet(HEAD, flags=FIRST))) == [BEGUN]
    page = ogg_page([255] * 255, bytes(65_025), flags=CONTINUED)
    tracemalloc.start()
    try:
        assert not list(demuxer.push(ogg_page([255], bytes(255))))
        for _ in range(100):
            assert not list(demuxer.push(page))
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()
    assert list(demuxer.push(ogg_page([1, 1], b"ta", flags=CONTINUED))) == [b"a"]


def test_other_streams_are_left_out() -> None:
    other = ogg_packet(b"\x80theora", flags=FIRST, serial=8)
    second = ogg_packet(HEAD, flags=FIRST, serial=9)
    picture = ogg_packet(b"picture", serial=8) + ogg_packet(b"sound", serial=9)
    start = other + ogg_packet(HEAD, flags=FIRST) + second + picture + ogg_packet(TAGS)
    assert demuxed(start + picture + ogg_packet(b"x") + picture) == [BEGUN, b"x"]


def test_a_chained_stream_takes_over() -> None:
    link = ogg_packet(HEAD, flags=FIRST, serial=8) + ogg_packet(TAGS, serial=8) + ogg_packet(b"y", serial=8)
    cut = START + ogg_packet(b"x") + ogg_page([255], bytes(255))
    assert demuxed(cut + link + ogg_packet(b"z")) == [BEGUN, b"x", BEGUN, b"y"]
    assert demuxed(cut + START + ogg_packet(b"y")) == [BEGUN, b"x", BEGUN, b"y"]


def test_a_stream_without_opus_is_refused() -> None:
    vorbis = ogg_packet(b"\1vorbis", flags=FIRST) + ogg_packet(b"\3vorbis")
    for data in (vorbis, ogg_packet(b"x"), START + ogg_packet(b"x") + vorbis):
        with pytest.raises(UnsupportedAudio):
            demuxed(data)


@pytest.mark.parametrize("head", [HEAD[:18], b"OpusHeap" + HEAD[8:], b""])
def test_a_damaged_head_is_refused(head: bytes) -> None:
    with pytest.raises((BadAudio, UnsupportedAudio)):
        demuxed(ogg_packet(head, flags=FIRST) + ogg_packet(TAGS))


@pytest.mark.parametrize(("at", "value"), [(8, 16), (9, 0), (9, 3), (18, 1), (18, 255)])
def test_a_head_of_another_kind_is_refused(at: int, value: int) -> None:
    with pytest.raises(UnsupportedAudio):
        demuxed(ogg_packet(HEAD[:at] + bytes([value]) + HEAD[at + 1 :], flags=FIRST))


def test_two_channels_are_decoded_as_one() -> None:
    assert demuxed(ogg_packet(HEAD[:9] + b"\2" + HEAD[10:], flags=FIRST)) == [BEGUN]


@pytest.mark.parametrize("garbage", [b"x", b"Og", b"Ogg", b"OggX", b"\0OggS"])
def test_garbage_between_pages_is_damage(garbage: bytes) -> None:
    with pytest.raises(BadAudio):
        demuxed(START + garbage + ogg_packet(b"x") + ogg_packet(b"y"))


@pytest.mark.parametrize("at", [4, 5, 6, 14, 18, 22, 25, 27, 30])
def test_any_wrong_byte_is_damage(at: int) -> None:
    page = bytearray(ogg_packet(b"some audio"))
    page[at] ^= 0x10
    with pytest.raises(BadAudio):
        demuxed(START + bytes(page) + ogg_packet(bytes(5_000)))


def test_a_missing_page_is_damage() -> None:
    with pytest.raises(BadAudio):
        demuxed(START + ogg_page([255], bytes(255)) + ogg_packet(b"x"))
    with pytest.raises(BadAudio):
        demuxed(START + ogg_page([1], b"x", flags=CONTINUED))


def test_a_packet_without_an_end_is_damage() -> None:
    page = ogg_page([255] * 120, bytes(120 * 255), flags=CONTINUED)
    start = START + ogg_page([255], bytes(255))
    assert demuxed(start + page * (MAX_PACKET_BYTES // 30_600 - 1)) == [BEGUN]
    with pytest.raises(BadAudio):
        demuxed(start + page * (MAX_PACKET_BYTES // 30_600 + 1))
