"""The index is read where FFmpeg would read it, and nowhere else."""

import io
import struct

import pytest

from gateway.audio.mp4_index import MAX_BOXES, MAX_INDEX_BYTES, MAX_PACKETS, is_mp4, refuse_huge_index
from gateway.core.errors import BadAudio
from tests.fixtures.audio_files import encode, speech
from tests.fixtures.bad_audio import box, mp4_with_tables


def table(name: bytes, *numbers: int) -> bytes:
    return box(name, struct.pack(f">{1 + len(numbers)}I", 0, *numbers))


TOO_MANY = MAX_PACKETS + 1
PCM = table(b"stts", 1, TOO_MANY, 1)


@pytest.mark.parametrize(
    "data",
    [
        encode(speech("weather"), "mp4", "aac"),
        encode(speech("weather"), "mov", "pcm_s16le"),
        mp4_with_tables(MAX_PACKETS),
        box(b"moov", PCM + table(b"stsz", 2, TOO_MANY)),
        box(b"mdat", table(b"stsz", 1, TOO_MANY)),
        box(b"udta", b"the trunk of a tree"),
        box(b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 16) + box(b"free", bytes(9)),
        box(b"ftyp") + b"\0\0\0\0moov" + table(b"trun", 7),
        box(b"ftyp") + b"\0\0\0\4moov" + table(b"stsz", 1, TOO_MANY),
        box(b"ftyp") + b"\0\0\0\1mo",
        b"",
    ],
    ids=range(11),
)
def test_honest_ones_pass(data: bytes) -> None:
    refuse_huge_index(io.BytesIO(data))


@pytest.mark.parametrize(
    "data",
    [
        mp4_with_tables(TOO_MANY),
        table(b"stsz", 0, TOO_MANY),
        table(b"stz2", 8, TOO_MANY),
        box(b"moov", PCM + table(b"stts", 1, TOO_MANY, 2) + table(b"stsz", 2, TOO_MANY)),
        box(b"moof", table(b"trun", TOO_MANY)),
        box(b"moov", struct.pack(">I4sQ4xII", 1, b"stsz", 28, 1, TOO_MANY)),
        b"".join(box(b"moof", table(b"trun", MAX_PACKETS // 2)) for _ in range(3)),
        box(b"moov", box(b"cmov", bytes(20))),
        box(b"free") * (MAX_BOXES + 1),
        box(b"free", bytes(MAX_INDEX_BYTES + 1)),
    ],
    ids=range(10),
)
def test_huge_ones_are_refused(data: bytes) -> None:
    with pytest.raises(BadAudio, match="index"):
        refuse_huge_index(io.BytesIO(data))


def test_what_is_mp4() -> None:
    assert is_mp4(encode(speech("weather"), "mp4", "aac"))
    assert not is_mp4(b"RIFF\0\0\0\0WAVE")
    assert not is_mp4(b"")
