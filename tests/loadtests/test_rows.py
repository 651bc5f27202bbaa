import pytest

from loadtests.rows import Floor, Round, Row, added_ms, floors, percentile


def one_round(
    *latencies_ms: float, audio_s: float = 10.0, wall_s: float = 1.0, wer: float = 5.0, looped: int = 0
) -> Round:
    latencies_s = tuple((f"clip{index}", ms / 1000) for index, ms in enumerate(latencies_ms or (100.0,)))
    return Round(audio_s, wall_s, 0.5, wer, looped, latencies_s)


def row(key: str, *rounds: Round) -> Row:
    return Row(key, key, rounds or (one_round(),), None)


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2
    assert percentile([1.0, 2.0], 50) == 1.5
    assert percentile([1.0, 2.0], 100) == 2
    assert percentile([7.0], 95) == 7


def test_a_row_shows_medians_and_the_worst_of_its_loops() -> None:
    measured = row("a", one_round(wall_s=1, looped=1), one_round(wall_s=5, wer=9), one_round(wall_s=2, wer=6))
    assert (measured.throughput, measured.wer_percent, measured.looped_clips) == (5, 6, 1)
    assert measured.cpu_s_per_audio_s == 0.05


def test_percentiles_are_taken_in_each_round_before_the_median() -> None:
    measured = row("a", one_round(10, 20, 30), one_round(40, 50, 60), one_round(1, 2, 3))
    assert measured.latency_ms(50) == pytest.approx(20)


def test_processes_that_cannot_be_seen_have_no_cpu_time() -> None:
    assert row("c1", Round(10, 1, None, 5, 0, (("a", 0.1),))).cpu_s_per_audio_s is None


def test_what_is_added_is_compared_clip_by_clip() -> None:
    assert added_ms(row("c1", one_round(110, 212, 1013)), row("e1", one_round(100, 200, 1000))) == pytest.approx(12)


def test_what_is_added_is_paired_within_the_round() -> None:
    ours, theirs = (
        row("c1", one_round(12), one_round(105), one_round(3)),
        row("e1", one_round(10), one_round(100), one_round(2)),
    )
    assert added_ms(ours, theirs) == pytest.approx(2)


def test_floors_are_judged_on_the_right_side() -> None:
    assert Floor("f", 3.5, 3.5, True).met
    assert not Floor("f", 3.4, 3.5, True).met
    assert Floor("f", 0.5, 0.5, False).met
    assert not Floor("f", 0.6, 0.5, False).met


def test_floors_come_with_the_rows_they_need() -> None:
    rows = {
        "a": row("a", one_round(wall_s=4)),
        "b": row("b", one_round(wall_s=3)),
        "c16": row("c16", one_round(wall_s=1, wer=5.4, looped=2)),
        "d": row("d", one_round(wall_s=1)),
    }
    greedy = {floor.name: floor for floor in floors(rows, beam_size=1)}
    assert greedy["throughput, c16 / a"].value == pytest.approx(4)
    assert greedy["throughput, d / b"].value == pytest.approx(3)
    assert greedy["WER points, c16 - a"].value == pytest.approx(0.4)
    assert not greedy["looped transcripts of Tritone"].met
    assert len(greedy) == 5
    assert "throughput, d / b" not in {floor.name for floor in floors(rows, beam_size=5)}


def test_loops_of_others_are_no_floor_of_ours() -> None:
    assert not list(floors({"a": row("a", one_round(looped=3))}, beam_size=1))
