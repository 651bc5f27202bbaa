import os

from layout import choose_layout


def test_a_cpu_gets_int8_and_its_cores_are_shared_out() -> None:
    layout = choose_layout({"device": "cpu"})
    assert (layout.device, layout.compute_type) == ("cpu", "int8")
    assert 1 <= layout.workers * layout.threads_per_worker <= max(1, len(os.sched_getaffinity(0)))
    assert layout.max_pending >= layout.workers


def test_each_choice_can_be_overridden() -> None:
    layout = choose_layout({"device": "cpu", "compute_type": "float32", "workers": "3", "max_encode": "2"})
    assert (layout.compute_type, layout.workers, layout.max_encode) == ("float32", 3, 2)
