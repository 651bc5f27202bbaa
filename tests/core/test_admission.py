import pytest

from gateway.core.admission import Admission, AdmissionLimits, Lane
from gateway.core.errors import Overloaded, QuotaExceeded


def admission(*, max_requests: int = 2, permits: int = 2, waiting: int = 2, audio_s: float = 60.0) -> Admission:
    return Admission(AdmissionLimits(max_requests, permits, waiting, audio_s))


def test_requests_come_in_up_to_the_limit_and_leave() -> None:
    gate = admission(max_requests=1)
    with gate.enter():
        assert gate.requests == 1
        with pytest.raises(Overloaded):
            gate.enter()
    gate.enter()


def test_uploads_take_no_place_of_those_inside() -> None:
    gate = Admission(AdmissionLimits(1, 1, 1, 60, max_uploads=2))
    slow, quick = gate.arrive(), gate.arrive()
    with pytest.raises(Overloaded):
        gate.arrive()
    with gate.enter():
        quick.release()
        # There is room for an upload, and none for what would follow it.
        with pytest.raises(Overloaded):
            gate.arrive()
    gate.arrive()
    slow.release()
    assert (gate.uploads, gate.requests) == (1, 0)


def test_one_caller_leaves_room_for_others() -> None:
    gate = Admission(AdmissionLimits(9, 1, 1, 60, max_requests_per_key=2))
    with gate.claim("a"):
        with gate.claim("a"):
            with pytest.raises(QuotaExceeded):
                gate.claim("a")
            gate.claim("b").release()
        gate.claim("a").release()
    with gate.claim("a"), gate.claim("a"), pytest.raises(QuotaExceeded):
        gate.claim("a")


def test_uploads_have_so_much_room_together() -> None:
    gate = Admission(AdmissionLimits(9, 1, 1, 60, max_upload_bytes=100))
    gate.keep(60)
    with pytest.raises(Overloaded):
        gate.keep(41)
    gate.keep(40)
    gate.drop(100)
    assert gate.upload_bytes == 0


def test_permits_are_counted_and_given_back_once() -> None:
    gate = admission(permits=2)
    first, second = gate.admit(), gate.admit()
    assert not gate.permit_is_free()
    with pytest.raises(Overloaded):
        gate.admit()
    first.release()
    first.release()
    assert (gate.in_flight, first.held, second.held) == (1, False, True)


def test_a_permit_comes_back_when_the_work_fails() -> None:
    gate = admission()
    with pytest.raises(ZeroDivisionError), gate.admit():
        raise ZeroDivisionError
    assert gate.in_flight == 0


@pytest.mark.parametrize(("waiting", "audio_s"), [(2, 1000), (9, 20)])
def test_who_waits_closes_the_door_but_not_on_those_inside(waiting: int, audio_s: float) -> None:
    gate = admission(waiting=waiting, audio_s=audio_s)
    places = [gate.wait(10), gate.wait(10)]
    assert gate.full == "too much audio is waiting for the model"
    for refused in (gate.arrive, gate.enter):
        with pytest.raises(Overloaded):
            refused()
    places.append(gate.wait(20))
    assert (gate.waiting, gate.waiting_audio_s) == (3, 40)
    for place in places:
        place.release()
    assert gate.full is None


def test_long_files_that_wait_keep_nobody_out_who_talks() -> None:
    gate = admission(waiting=2)
    gate.wait(10, Lane.LONG)
    gate.wait(10, Lane.LONG)
    assert gate.congested(Lane.LIVE) is None
    gate.wait(10, Lane.LIVE)
    gate.wait(10, Lane.LIVE)
    assert gate.congested(Lane.LIVE)


def test_no_waiters_are_exactly_no_audio() -> None:
    gate = admission(waiting=3)
    places = [gate.wait(audio_s) for audio_s in (0.1, 0.2, 0.3)]
    for place in places:
        place.release()
    assert gate.waiting_audio_s == 0.0
    assert gate.full is None


def test_retry_after_follows_the_measured_service_time() -> None:
    gate = admission(permits=2, waiting=50)
    assert gate.retry_after_s == 1
    for _ in range(2):
        gate.admit()
    # Two at once in 4 s: one every 2 s.
    gate.served(4.0)
    assert gate.retry_after_s == 4
    for _ in range(4):
        gate.wait(1)
    assert gate.retry_after_s == 12
    for _ in range(100):
        gate.served(1.0)
    assert 3 <= gate.retry_after_s <= 4


def test_what_cannot_be_served_in_its_time_is_refused() -> None:
    gate = admission(permits=2, waiting=50)
    gate.require_time(0.1)
    for _ in range(2):
        gate.admit()
    gate.require_time(0.1)
    gate.served(4.0)
    gate.wait(1)
    # The fourth, at one every 2 s, and half more to be sure.
    gate.require_time(12.1)
    with pytest.raises(Overloaded) as caught:
        gate.require_time(11.9)
    assert caught.value.retry_after_s == 6


def test_only_those_ahead_take_time() -> None:
    gate = admission(permits=1, waiting=50)
    gate.admit()
    gate.served(1.0)
    for _ in range(9):
        gate.wait(1, Lane.LONG)
    gate.require_time(3.1)
    with pytest.raises(Overloaded):
        gate.require_time(3.1, Lane.LONG)


def test_an_idle_model_has_time_for_anything() -> None:
    gate = admission(permits=2)
    gate.served(500.0)
    gate.require_time(0.1)


def test_retry_after_is_bounded_and_told() -> None:
    gate = admission(max_requests=1, permits=1)
    gate.served(500.0)
    gate.admit()
    gate.enter()
    with pytest.raises(Overloaded) as caught:
        gate.enter()
    assert caught.value.retry_after_s == 60


def test_long_files_leave_room_while_others_are_here() -> None:
    gate = Admission(AdmissionLimits(9, 4, 9, 60, long_permits=1))
    gate.admit(Lane.LONG)
    alone = gate.admit(Lane.LONG)
    session = gate.attend()
    assert not gate.permit_is_free(Lane.LONG)
    session.release()
    assert gate.permit_is_free(Lane.LONG)
    short = gate.admit()
    assert not gate.permit_is_free(Lane.LONG)
    alone.release()
    assert not gate.permit_is_free(Lane.LONG)
    short.release()
    assert (gate.permit_is_free(Lane.LONG), gate.in_flight, gate.sessions) == (True, 1, 0)


def test_interim_results_do_not_wait_for_long_files() -> None:
    gate = Admission(AdmissionLimits(9, 4, 9, 60, interim_permits=1))
    for _ in range(3):
        gate.admit(Lane.LONG)
    assert gate.permit_is_free(Lane.INTERIM)
    gate.admit(Lane.INTERIM)
    assert not gate.permit_is_free(Lane.LIVE)


def test_a_permit_can_change_hands() -> None:
    gate = admission()
    with gate.enter() as first:
        second = first.hand_over()
        assert (first.held, second.held) == (False, True)
    assert gate.requests == 1
    second.release()
    assert gate.requests == 0


def test_an_interim_result_needs_more_room_than_others() -> None:
    gate = Admission(AdmissionLimits(1, 4, 1, 60, interim_permits=1))
    gate.admit(Lane.INTERIM)
    with pytest.raises(Overloaded):
        gate.admit(Lane.INTERIM)
    assert (gate.permit_is_free(Lane.INTERIM), gate.permit_is_free(Lane.LIVE)) == (False, True)
