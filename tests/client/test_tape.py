import asyncio

import pytest

from gateway.client.tape import AHEAD_BYTES, BYTES_PER_S, KEPT_BYTES, PIECE_BYTES, Tape


async def taken(tape: Tape) -> bytes:
    pieces = []
    while piece := await tape.take():
        pieces.append(piece)
    return b"".join(pieces)


async def test_what_was_put_is_taken_in_pieces_and_then_nothing() -> None:
    tape = Tape()
    data = bytes(range(256)) * 32
    await tape.put(data)
    await tape.end()
    assert len(await tape.take()) == PIECE_BYTES
    assert await taken(tape) == data[PIECE_BYTES:]
    assert await tape.take() == b""


async def test_half_a_sample_waits_for_its_other_half_and_is_left_out_at_the_end() -> None:
    tape = Tape()
    await tape.put(b"abc")
    assert await tape.take() == b"ab"
    await tape.put(b"de")
    assert await tape.take() == b"cd"
    await tape.end()
    assert await tape.take() == b""


async def test_what_was_taken_can_be_taken_again() -> None:
    tape = Tape()
    await tape.put(b"abcdef")
    await tape.take()
    assert tape.rewind(2) == 0
    assert await tape.take() == b"cdef"


async def test_a_minute_is_kept_and_what_is_missing_is_told() -> None:
    tape = Tape()
    for _ in range(100):
        await tape.put(bytes(BYTES_PER_S))
        for _ in range(10):
            await tape.take()
    assert tape.rewind(0) == 100 * BYTES_PER_S - KEPT_BYTES
    await tape.end()
    assert len(await taken(tape)) == KEPT_BYTES


async def test_whoever_is_ahead_waits() -> None:
    tape = Tape()
    await tape.put(bytes(AHEAD_BYTES))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await tape.put(b"ab")
    await tape.take()
    await tape.put(b"ab")


async def test_a_position_that_was_never_recorded_is_the_end() -> None:
    tape = Tape()
    await tape.put(b"abcd")
    await tape.end()
    assert tape.rewind(1_000) == 0
    assert await tape.take() == b""
