from itertools import pairwise

from loadtests.pacing import Piece, entrance_s, pieces


def test_a_piece_is_due_when_it_has_been_spoken() -> None:
    assert list(pieces(80, bytes_per_s=320)) == [Piece(0, 32, 0.1), Piece(32, 64, 0.2), Piece(64, 80, 0.25)]


def test_who_speaks_twice_as_fast_is_done_in_half_the_time() -> None:
    assert [piece.due_s for piece in pieces(64, bytes_per_s=320, speed=2)] == [0.05, 0.1]


def test_samples_are_whole_and_every_byte_is_sent_once() -> None:
    cut = list(pieces(1001, bytes_per_s=44_100 * 2, piece_ms=1))
    assert [piece.start_byte for piece in cut[1:]] == [piece.end_byte for piece in cut[:-1]]
    assert all(piece.start_byte % 2 == 0 for piece in cut)
    assert (cut[0].start_byte, cut[-1].end_byte) == (0, 1001)


def test_speakers_come_in_spread_and_never_together() -> None:
    entrances = sorted(entrance_s(number, within_s=2.0) for number in range(100))
    assert 0 <= entrances[0] < entrances[-1] < 2.0
    assert min(later - earlier for earlier, later in pairwise(entrances)) > 0.005
