"""What FFmpeg sees of metadata: nothing, while the sound is the same."""

import io
import itertools
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial

import av
import numpy as np
import pytest

from gateway.audio.decode import decode
from gateway.audio.metadata import MAX_COMMENTS, MAX_PARTS, MAX_TAGS, MAX_TRACKS_BYTES, without_metadata
from gateway.core.audio import Samples
from gateway.core.errors import BadAudio, TritoneError
from tests.fixtures.audio_files import encode, speech, wav_bytes
from tests.fixtures.live_audio import UNKNOWN_SIZE, browser_pieces

SOUND = speech("weather")
WAV = wav_bytes(SOUND)
FLAC = encode(SOUND, "flac", "flac")
MP3 = encode(SOUND, "mp3", "libmp3lame")
AAC = encode(SOUND, "adts", "aac")
WEBM = encode(SOUND, "webm", "libopus", 48_000)
MKV = encode(SOUND, "matroska", "aac", 48_000)
OGG = encode(SOUND, "ogg", "libopus", 48_000)
BROWSER = b"".join(browser_pieces("chromium"))
MANY = 40_000


def synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(frames: bytes, *, footer: bool = False) -> bytes:
    size = synchsafe(len(frames))
    return b"ID3\4\0" + (b"\x10" if footer else b"\0") + size + frames + (b"3DI\4\0\x10" + size) * footer


def texts(count: int) -> bytes:
    return id3(b"".join(b"TXXX" + synchsafe(10) + b"\0\0\0%07x\0x" % number for number in range(count)))


def inflating(megabytes: int) -> bytes:
    """A tag with a compressed picture."""
    packer = zlib.compressobj(9)
    picture = b"\0image/jpeg\0\3\0" + bytes(1_000_000 - 14)
    packed = b"".join([*(packer.compress(picture) for _ in range(megabytes)), packer.flush()])
    return id3(b"APIC" + synchsafe(len(packed) + 4) + b"\0\x09" + struct.pack(">I", megabytes * 1_000_000) + packed)


def flac_comments(count: int) -> bytes:
    comments = b"".join(struct.pack("<I", 9) + b"%07x=x" % number for number in range(count))
    block = struct.pack("<II", 0, count) + comments
    return FLAC[:42] + b"\4" + len(block).to_bytes(3, "big") + block + FLAC[42:]


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(content)) + content + bytes(len(content) % 2)


def wav_infos(count: int) -> bytes:
    keys = itertools.islice(itertools.product(range(65, 91), repeat=4), count)
    return chunk(b"LIST", b"INFO" + b"".join(chunk(bytes(key), b"x\0") for key in keys))


def rf64() -> bytes:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, len(WAV) - 44, 0, 0))
    data = b"data\xff\xff\xff\xff" + WAV[44:]
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + WAV[12:36] + data + wav_infos(10)


def element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + struct.pack(">Q", len(content) | 1 << 56) + content


def chapters(count: int) -> bytes:
    def chapter(number: int) -> bytes:
        starts = b"\x91\x83" + (number + 1).to_bytes(3, "big")
        return b"\xb6\x8b" + bytes.fromhex("73c483") + (count - number).to_bytes(3, "big") + starts

    return element("1043a770", element("45b9", b"".join(map(chapter, range(count)))))


def matroska_tags(count: int) -> bytes:
    tags = (element("67c8", element("45a3", b"%07x" % number) + element("4487", b"x")) for number in range(count))
    return element("1254c367", element("7373", element("63c0", b"") + b"".join(tags)))


def with_elements(data: bytes, front: bytes, back: bytes = b"") -> bytes:
    segment = data.index(bytes.fromhex("18538067"))
    return data[: segment + 4] + UNKNOWN_SIZE + front + data[segment + 12 :] + back


def found_by_seek_head(late: bytes) -> bytes:
    """The elements behind the sound, and a SeekHead that tells where."""

    def seek_head(place: int) -> bytes:
        entry = element("53ab", late[:4]) + element("53ac", place.to_bytes(8, "big"))
        return element("114d9b74", element("4dbb", entry))

    segment = WEBM.index(bytes.fromhex("18538067")) + 12
    place = len(WEBM) - segment + len(seek_head(0))
    return with_elements(WEBM, seek_head(place), late)


def between_frames(tag: bytes) -> bytes:
    first_bytes = (AAC[3] & 3) << 11 | AAC[4] << 3 | AAC[5] >> 5
    return AAC[:first_bytes] + tag + AAC[first_bytes:]


def ape(count: int) -> bytes:
    items = b"".join(struct.pack("<II", 1, 0) + b"%07x\0x" % number for number in range(count))
    return items + b"APETAGEX" + struct.pack("<IIII8x", 2_000, len(items) + 32, count, 0)


Make = Callable[[int], bytes]
# A file without, and one with as much as is asked for.
CASES: dict[str, tuple[bytes, Make]] = {
    "mp3": (MP3, lambda count: texts(count) + MP3),
    "mp3, tags in a row": (MP3, lambda count: id3(b"TIT2\0\0\0\2\0\0\0a", footer=True) + texts(count) + MP3),
    "aac": (AAC, lambda count: texts(count) + AAC),
    "aac, between frames": (AAC, lambda count: between_frames(texts(count))),
    "aac, behind": (AAC, lambda count: AAC + ape(count)),
    "flac": (FLAC, flac_comments),
    "flac behind a tag": (FLAC, lambda count: texts(count) + flac_comments(count)),
    "wav, before": (WAV, lambda count: WAV[:12] + wav_infos(count) + WAV[12:]),
    "wav, behind": (WAV, lambda count: WAV + wav_infos(count)),
    "wav, odd chunks": (WAV, lambda count: WAV[:12] + chunk(b"odd ", b"odd") + wav_infos(count) + WAV[12:]),
    "wav, id3": (WAV, lambda count: WAV[:12] + chunk(b"id3 ", texts(count)) + WAV[12:]),
    "rf64": (WAV, lambda count: rf64() + wav_infos(count)),
    "webm, chapters": (WEBM, lambda count: with_elements(WEBM, chapters(2 * count))),
    "webm, chapters behind": (WEBM, lambda count: found_by_seek_head(chapters(2 * count))),
    "webm, tags": (WEBM, lambda count: with_elements(WEBM, matroska_tags(count))),
    "webm, tags behind": (WEBM, lambda count: found_by_seek_head(matroska_tags(count))),
    "webm, chapters behind damage": (WEBM, lambda count: with_elements(WEBM, b"\0\0\0" + chapters(2 * count))),
    "mkv": (MKV, lambda count: with_elements(MKV, chapters(2 * count) + matroska_tags(count))),
    "browser's webm": (BROWSER, lambda count: with_elements(BROWSER, chapters(2 * count), matroska_tags(count))),
}


def heard(file: io.BytesIO) -> Samples:
    return np.concatenate(list(decode(file, max_audio_s=60)))


def plainly_heard(data: bytes) -> Samples:
    """What FFmpeg makes of it as it is."""
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def seen(file: object) -> int:
    """How many keys and chapters FFmpeg holds."""
    with av.open(file, metadata_errors="replace") as container:
        streams = sum(len(stream.metadata.keys() - {"language", "DURATION", "title"}) for stream in container.streams)
        return len(container.metadata.keys() - {"encoder", "ENCODER"}) + streams + len(container.chapters())


@pytest.mark.parametrize("name", CASES)
def test_the_sound_is_the_same(name: str) -> None:
    without, make = CASES[name]
    expected = heard(io.BytesIO(without))
    np.testing.assert_array_equal(heard(io.BytesIO(make(10))), expected)
    np.testing.assert_array_equal(heard(io.BytesIO(make(MANY))), expected)


@pytest.mark.parametrize("name", CASES)
def test_metadata_does_not_reach_ffmpeg(name: str) -> None:
    _, make = CASES[name]
    if "between" not in name and "damage" not in name and "aac, behind" not in name:
        assert seen(io.BytesIO(make(10))) >= 10
    assert seen(without_metadata(io.BytesIO(make(MANY)))) == 0


@pytest.mark.parametrize("data", [WAV, FLAC, MP3, AAC, WEBM, MKV, OGG, BROWSER], ids=range(8))
def test_ordinary_files_decode_as_without_the_view(data: bytes) -> None:
    with av.open(without_metadata(io.BytesIO(data))) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    np.testing.assert_array_equal(samples, plainly_heard(data))


@pytest.mark.parametrize("name", CASES)
def test_the_view_is_the_same_however_it_is_read(name: str) -> None:
    file = without_metadata(io.BytesIO(CASES[name][1](3)))
    whole = file.read()
    for piece_bytes in (1, 7, 1_000):
        assert file.seek(0) == 0
        assert b"".join(iter(partial(file.read, piece_bytes), b"")) == whole
    assert file.seek(0, io.SEEK_END) == file.tell() == len(whole)
    assert (file.seek(-5, io.SEEK_CUR), file.read()) == (len(whole) - 5, whole[-5:])


def with_comments(count: int) -> bytes:
    """An Ogg file whose second page claims `count` comments; checksums are of no interest to the count."""
    at = OGG.index(b"OpusTags") + 8
    at += 4 + int.from_bytes(OGG[at : at + 4], "little")
    return OGG[:at] + struct.pack("<I", count) + OGG[at + 4 :]


def test_an_ogg_stream_may_have_so_many_comments() -> None:
    view = without_metadata(io.BytesIO(with_comments(MAX_COMMENTS)))
    assert view.read() == with_comments(MAX_COMMENTS)


@pytest.mark.parametrize(
    "data",
    [
        id3(b"") * MAX_TAGS + MP3,
        b"fLaC" + b"\1\0\0\0" * (MAX_PARTS + 1),
        WAV[:12] + chunk(b"LIST", b"") * (MAX_PARTS + 1) + WAV[12:],
        with_comments(MAX_COMMENTS + 1),
        with_comments(MAX_COMMENTS) + with_comments(MAX_COMMENTS),
    ],
    ids=range(5),
)
def test_too_many_parts_are_refused(data: bytes) -> None:
    with pytest.raises(BadAudio) as caught:
        heard(io.BytesIO(data))
    assert caught.value.param == "file"


@pytest.mark.parametrize("name", CASES)
def test_cut_files_are_left_to_ffmpeg(name: str) -> None:
    data = CASES[name][1](2)
    for size in range(0, 200, 3):
        try:
            heard(io.BytesIO(data[:size]))
        except TritoneError as error:
            assert error.param == "file"


@pytest.mark.parametrize("length", range(28))
def test_a_page_that_ends_in_its_head_is_left_to_ffmpeg(length: int) -> None:
    data = (b"OggS" + bytes(24))[:length]
    assert without_metadata(io.BytesIO(data)).read() == data


def ogg_page(serial: int, sequence: int, flags: int, packet: bytes) -> bytes:
    """A page of one short packet; checksums are of no interest to the view."""
    return b"OggS\0" + bytes([flags]) + struct.pack("<qIIIBB", 0, serial, sequence, 0, 1, len(packet)) + packet


def test_a_stream_without_comments_has_none() -> None:
    skeleton = ogg_page(7, 0, 2, b"fishead\0" + bytes(56)) + ogg_page(7, 1, 0, b"fisbone\0" + b"\x2c" + bytes(51))
    assert without_metadata(io.BytesIO(skeleton + OGG)).read() == skeleton + OGG


@pytest.mark.parametrize("size", [struct.pack(">Q", MAX_TRACKS_BYTES + 1 | 1 << 56), UNKNOWN_SIZE])
def test_tracks_are_read_up_to_a_size(size: bytes) -> None:
    place = WEBM.rindex(bytes.fromhex("1654ae6b")) + 4
    rest = WEBM[place + 9 - WEBM[place].bit_length() :]
    with pytest.raises(BadAudio, match="no audio stream"):
        heard(io.BytesIO(WEBM[:place] + size + rest))


def test_errors_of_the_file_pass() -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 20_000:
                raise OSError("nobody waits")
            return super().read(size)

    with pytest.raises(OSError, match="nobody waits"):
        heard(Gone(WAV))


# A child's `ru_maxrss` begins at its parent's.
PEAK = """
import io, re, sys
from gateway.audio.decode import decode
sound = sum(map(len, decode(io.BytesIO(sys.stdin.buffer.read()), max_audio_s=60)))
print(sound, re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.parametrize(
    "data",
    [
        inflating(300) + MP3,
        inflating(300) + FLAC,
        between_frames(inflating(300)),
        WAV[:12] + chunk(b"id3 ", inflating(300)) + WAV[12:],
    ],
    ids=["mp3", "flac", "aac", "wav"],
)
def test_nothing_is_inflated(data: bytes) -> None:
    child = subprocess.run([sys.executable, "-c", PEAK], input=data, capture_output=True, check=True, timeout=60)
    samples, peak_kilobytes = map(int, child.stdout.split())
    assert samples > len(SOUND) - 3_000
    assert peak_kilobytes < 250_000
