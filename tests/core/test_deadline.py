from gateway.core.deadline import Deadline


def test_a_deadline_is_a_point_in_time() -> None:
    deadline = Deadline.after(2.0, now_s=10.0)
    assert (deadline.remaining_s(11.5), deadline.remaining_s(12.0), deadline.remaining_s(99.0)) == (0.5, 0.0, 0.0)
    assert (deadline.passed(11.9), deadline.passed(12.0)) == (False, True)


def test_the_tighter_of_two_counts() -> None:
    soon, late = Deadline(1.0), Deadline(2.0)
    assert soon.earlier(late) is late.earlier(soon) is soon
