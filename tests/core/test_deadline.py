from gateway.core.deadline import Deadline


def test_a_deadline_passes_once_and_the_earlier_one_counts() -> None:
    soon, late = Deadline.after(1.0, now_s=10.0), Deadline.after(5.0, now_s=10.0)
    assert (soon.remaining_s(10.25), soon.remaining_s(12.0)) == (0.75, 0.0)
    assert (soon.passed(10.9), soon.passed(11.0)) == (False, True)
    assert soon.earlier(late) is late.earlier(soon) is soon
