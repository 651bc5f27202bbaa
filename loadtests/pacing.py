"""Which bytes of a recording are due when, if a person spoke it: arithmetic alone, for clients of any kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# What recorders in browsers and telephones commonly send at once.
PIECE_MS: Final = 100
# Multiples of the golden ratio fall evenly and never in step, whatever their number.
_GOLDEN: Final = 0.618_033_988_749_895


@dataclass(frozen=True, slots=True)
class Piece:
    """One message; `due_s` is when its last byte has been spoken, from the first byte of all."""

    start_byte: int
    end_byte: int
    due_s: float


def pieces(
    total_bytes: int, *, bytes_per_s: int, piece_ms: int = PIECE_MS, sample_bytes: int = 2, speed: float = 1.0
) -> Iterator[Piece]:
    """The whole recording in messages of whole samples, `speed` times as fast as it was spoken."""
    piece_bytes = max(1, bytes_per_s * piece_ms // 1000 // sample_bytes) * sample_bytes
    for start_byte in range(0, total_bytes, piece_bytes):
        end_byte = min(start_byte + piece_bytes, total_bytes)
        yield Piece(start_byte, end_byte, end_byte / bytes_per_s / speed)


def entrance_s(number: int, *, within_s: float) -> float:
    """When speaker `number`, from 0, begins: spread over `within_s`, and the same in each run."""
    return number * _GOLDEN % 1.0 * within_s
