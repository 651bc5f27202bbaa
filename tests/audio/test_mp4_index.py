"""The index is read where FFmpeg would read it, and nowhere else."""

import io
import struct

import pytest

from gateway.audio.mp4_index import (
    MAX_BOXES,
    MAX_INDEX_BYTES,
    MAX_ITEMS,
    MAX_PACKETS,
    MAX_SEGMENTS,
    MAX_TABLES,
    is_mp4,
    refuse_huge_index,
)
from gateway.core.errors import BadAudio
from tests.fixtures.audio_files import encode, speech
from tests.fixtures.bad_audio import box, mp4_with_tables


def table(name: bytes, *numbers: int) -> bytes:
    return box(name, struct.pack(f">{1 + len(numbers)}I", 0, *numbers))


def track(kind: bytes, *tables: bytes) -> bytes:
    handler = box(b"hdlr", bytes(8), kind, bytes(13))
    return box(b"moov", box(b"trak", box(b"mdia", handler, box(b"minf", box(b"stbl", *tables)))))


def titles(count: int) -> bytes:
    return box(b"moov", box(b"udta", box(b"meta", bytes(4), box(b"ilst", box(b"----", b"a title") * count))))


def with_cover(picture: bytes) -> bytes:
    items = box(b"ilst", box(b"covr", box(b"data", struct.pack(">II", 13, 0), picture)))
    return box(b"moov", box(b"udta", box(b"meta", bytes(4), box(b"hdlr", bytes(8), b"mdirappl", bytes(9)), items)))


def edits(count: int) -> bytes:
    return box(b"moov", box(b"trak", box(b"edts", table(b"elst", count))))


def segments(count: int, version: int = 0) -> bytes:
    times = bytes(16 if version else 8)
    return box(b"sidx", bytes([version, 0, 0, 0]), bytes(8), times, struct.pack(">HH", 0, count))


TOO_MANY = MAX_PACKETS + 1
PCM = table(b"stts", 1, TOO_MANY, 1)
SIZES = table(b"stsz", 2, TOO_MANY)
SOUND = box(b"mdia", box(b"hdlr", bytes(8), b"soun", bytes(13)))
RUN_WITH_PRINTABLE_FLAGS = box(b"trun", b"    ", struct.pack(">I", TOO_MANY))


@pytest.mark.parametrize(
    "data",
    [
        encode(speech("weather"), "mp4", "aac"),
        encode(speech("weather"), "mov", "pcm_s16le"),
        mp4_with_tables(MAX_PACKETS),
        track(b"soun", PCM, SIZES),
        track(b"soun", SIZES, PCM),
        box(b"mdat", table(b"stsz", 1, TOO_MANY)),
        box(b"udta", b"the trunk of a tree"),
        box(b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 16) + box(b"free", bytes(9)),
        box(b"ftyp") + b"\0\0\0\0moov" + table(b"trun", 7),
        box(b"ftyp") + b"\0\0\0\4moov" + table(b"stsz", 1, TOO_MANY),
        box(b"ftyp") + b"\0\0\0\1mo",
        titles(MAX_ITEMS // 2),
        with_cover(
            b"".join(table(name, 1, TOO_MANY, TOO_MANY) for name in (b"stsz", b"stz2", b"trun", b"cmov", b"elst"))
        ),
        mp4_with_tables(MAX_PACKETS // 2) + edits(2),
        segments(MAX_SEGMENTS),
        segments(MAX_SEGMENTS, version=1),
        b"",
    ],
    ids=range(17),
)
def test_honest_ones_pass(data: bytes) -> None:
    refuse_huge_index(io.BytesIO(data))


@pytest.mark.parametrize(
    "data",
    [
        mp4_with_tables(TOO_MANY),
        box(b"moov", b"stts" * (MAX_TABLES + 1)),
        box(b"moov", b"udta" * (MAX_ITEMS + 2)),
        table(b"stsz", 0, TOO_MANY),
        table(b"stz2", 8, TOO_MANY),
        track(b"soun", PCM, table(b"stts", 1, TOO_MANY, 2), SIZES),
        track(b"soun", PCM, SIZES, table(b"stts", 1, TOO_MANY, 2)),
        track(b"vide", PCM, SIZES),
        track(b"vide", box(b"free", box(b"trak", SOUND)), PCM, SIZES),
        track(b"soun", PCM, SIZES, box(b"hdlr", bytes(8), b"vide", bytes(13))),
        track(b"soun", PCM) + track(b"vide", SIZES),
        box(b"moov", PCM, SIZES),
        box(b"moov", box(b"trak", box(b"free", SOUND), PCM, SIZES)),
        box(b"moof", table(b"trun", TOO_MANY)),
        box(b"moof", box(b"traf", RUN_WITH_PRINTABLE_FLAGS)),
        box(b"moof", b"\x7f\xff\xff\xfftfhd", bytes(16), b"~~~~", RUN_WITH_PRINTABLE_FLAGS[4:]),
        box(b"moof", box(b"tfhd")) + box(b"udta", b"~~~~", RUN_WITH_PRINTABLE_FLAGS[4:]),
        box(b"moov", struct.pack(">I4sQ4xII", 1, b"stsz", 28, 1, TOO_MANY)),
        b"".join(box(b"moof", table(b"trun", MAX_PACKETS // 2)) for _ in range(3)),
        box(b"moov", box(b"cmov", bytes(20))),
        box(b"moov", box(b"cmov", b"    dcomzlib")),
        titles(MAX_ITEMS + 1),
        mp4_with_tables(MAX_PACKETS // 2) + edits(3),
        edits(3) + mp4_with_tables(MAX_PACKETS // 2),
        segments(MAX_SEGMENTS + 1),
        segments(MAX_SEGMENTS // 2 + 1, version=1) * 2,
        box(b"moov", box(b"udta", box(b"meta", box(b"ilst", box(b"covr", table(b"stsz", 1, TOO_MANY)))))),
        box(b"moov", box(b"covr", table(b"stsz", 1, TOO_MANY))),
        box(b"free") * (MAX_BOXES + 1),
        box(b"free", bytes(MAX_INDEX_BYTES + 1)),
    ],
    ids=range(30),
)
def test_huge_ones_are_refused(data: bytes) -> None:
    with pytest.raises(BadAudio, match="index"):
        refuse_huge_index(io.BytesIO(data))


def test_what_is_mp4() -> None:
    assert is_mp4(encode(speech("weather"), "mp4", "aac"))
    assert not is_mp4(b"RIFF\0\0\0\0WAVE")
    assert not is_mp4(b"")
