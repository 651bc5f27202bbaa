"""Damaged audio, as files and live: decoded as far as it goes, or refused."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.decode import decode
from gateway.audio.encodings import ENCODINGS, live_decoder, push_in_pieces
from gateway.core.errors import TritoneError
from tests.malformed import cases

MAX_AUDIO_S = 60.0


@cases.cases(2000)
@given(data=cases.audio_files)
def test_files(data: bytes) -> None:
    try:
        for samples in decode(io.BytesIO(data), max_audio_s=MAX_AUDIO_S):
            assert samples.dtype == np.int16
    except TritoneError as error:
        assert error.message


@cases.cases(1000)
@given(
    encoding=st.sampled_from(ENCODINGS),
    rate_hz=st.sampled_from((8_000, 16_000, 44_100, 48_000)),
    data=cases.audio_files,
)
def test_live_audio(encoding: str, rate_hz: int, data: bytes) -> None:
    decoder = live_decoder(encoding, rate_hz)
    try:
        for samples in push_in_pieces(decoder, data):
            assert samples.dtype == np.int16
        decoder.finish()
    except TritoneError as error:
        assert error.message
