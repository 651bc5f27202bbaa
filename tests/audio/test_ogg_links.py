"""Chained Ogg files: nothing of any link is lost, whatever the one before was."""

import io
import itertools

import numpy as np
import pytest

from gateway.audio import ogg_links
from gateway.audio.decode import decode
from gateway.audio.ogg_links import links, pages
from gateway.core.audio import SAMPLE_RATE_HZ
from gateway.core.errors import BadAudio, UnsupportedAudio
from tests.fixtures.audio_files import encode, speech, wav_bytes

SOUND = speech("weather")
SHAPES = {
    "opus": encode(SOUND, "ogg", "libopus", 48_000),
    "opus in stereo": encode(SOUND, "ogg", "libopus", 48_000, "stereo"),
    "vorbis": encode(SOUND, "ogg", "vorbis", 44_100, "stereo"),
    "vorbis of another rate": encode(SOUND, "ogg", "vorbis", 22_050, "stereo"),
    "flac": encode(SOUND, "ogg", "flac"),
}
OPUS, FLAC = SHAPES["opus"], SHAPES["flac"]
FIRST_PAGE_BYTES = list(pages(io.BytesIO(OPUS)))[1].start


def seconds(data: bytes) -> float:
    return sum(map(len, decode(io.BytesIO(data), max_audio_s=60))) / SAMPLE_RATE_HZ


@pytest.mark.parametrize(("first", "second"), [*itertools.product(SHAPES, SHAPES)])
def test_every_link_is_decoded(first: str, second: str) -> None:
    alone = seconds(SHAPES[first]) + seconds(SHAPES[second])
    assert seconds(SHAPES[first] + SHAPES[second]) == pytest.approx(alone, abs=0.002)


def test_links_sound_as_they_do_alone() -> None:
    whole = np.concatenate(list(decode(io.BytesIO(FLAC + FLAC), max_audio_s=60)))
    np.testing.assert_array_equal(whole, np.concatenate([SOUND, SOUND]))


def test_streams_beside_each_other_are_one_link() -> None:
    beside = OPUS[:FIRST_PAGE_BYTES] + FLAC
    assert [link.read() for link in links(io.BytesIO(beside + OPUS))] == [beside, OPUS]


@pytest.mark.parametrize("data", [b"", b"OggS", OPUS, OPUS[:1_000], wav_bytes(SOUND)])
def test_what_is_not_chained_is_itself(data: bytes) -> None:
    file = io.BytesIO(data)
    assert list(links(file)) == [file]
    assert file.read() == data


@pytest.mark.parametrize("rest", [OPUS[:20], OPUS[:FIRST_PAGE_BYTES], OPUS[:FIRST_PAGE_BYTES] + bytes(5_000)])
def test_a_link_that_is_cut_off_costs_no_other(rest: bytes) -> None:
    assert seconds(OPUS + rest) == seconds(OPUS)


def test_a_link_of_an_unsupported_kind_is_no_silent_loss() -> None:
    too_slow = encode(SOUND, "ogg", "flac", 2_000)
    with pytest.raises(UnsupportedAudio, match="2000 samples a second"):
        seconds(FLAC + too_slow)


def test_a_broadcast_that_is_joined_in_its_middle_has_no_hole() -> None:
    long = encode(np.tile(SOUND, 6), "ogg", "flac")
    heads, later = [list(pages(io.BytesIO(long)))[number].start for number in (2, 12)]
    assert 0 < seconds(long[:heads] + long[later:]) < seconds(long)


def test_links_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogg_links, "MAX_LINKS", 3)
    assert seconds(OPUS * 3) == pytest.approx(3 * seconds(OPUS))
    with pytest.raises(BadAudio, match="more than 3 parts"):
        seconds(OPUS * 4)
