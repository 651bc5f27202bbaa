import pytest

from loadtests.shapes import SHAPES


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_fills_its_duration_in_order(name: str) -> None:
    ends = [stage.until for stage in SHAPES[name].stages]
    assert ends == sorted(set(ends))
    assert ends[-1] == 1
    assert all(0 < at < 1 for at, _ in SHAPES[name].disturbances)


def test_a_spike_comes_and_goes() -> None:
    spike = SHAPES["spike"]
    assert [getattr(spike.stage_at(at), "crowds", None) for at in (0, 0.5, 0.9, 1)] == [1, 5, 1, None]
