from gateway.core.breaker import Breaker, BreakerState


def closed() -> Breaker:
    breaker = Breaker("unknown", now_s=0.0)
    breaker.probe()
    assert breaker.passed()
    return breaker


def test_it_is_open_until_a_canary_came_back() -> None:
    breaker = Breaker("unknown", now_s=5.0)
    assert (breaker.state, breaker.reason, breaker.open_since(7.0)) == (BreakerState.OPEN, "unknown", 2.0)
    breaker.probe()
    assert (breaker.state, breaker.reason) == (BreakerState.HALF_OPEN, "unknown")
    assert breaker.passed()
    assert (breaker.state, breaker.reason, breaker.open_since(9.0)) == (BreakerState.CLOSED, None, 0.0)


def test_the_first_failure_opens_it_and_the_last_reason_is_told() -> None:
    breaker = closed()
    assert breaker.trip("gone", now_s=10.0)
    assert not breaker.trip("still gone", now_s=12.0)
    assert (breaker.reason, breaker.opened_at_s, breaker.open_since(13.0)) == ("still gone", 10.0, 3.0)


def test_a_canary_that_set_out_before_the_failure_proves_nothing() -> None:
    breaker = closed()
    breaker.probe()
    breaker.trip("gone", now_s=1.0)
    assert not breaker.passed()
    assert breaker.state is BreakerState.OPEN


def test_a_failure_ends_the_trial() -> None:
    breaker = Breaker("unknown", now_s=0.0)
    breaker.probe()
    breaker.trip("gone", now_s=1.0)
    assert not breaker.passed()
    assert (breaker.state, breaker.opened_at_s) == (BreakerState.OPEN, 0.0)


def test_a_canary_does_not_open_a_closed_one() -> None:
    breaker = closed()
    breaker.probe()
    assert breaker.state is BreakerState.CLOSED
    assert not breaker.passed()
