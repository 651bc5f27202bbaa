import pytest

from gateway.core.recovery import Recovery, RecoveryLimits, Recycling, Sign, Step

LIMITS = RecoveryLimits(failures=3, late_s=100.0, min_pause_s=1.0, max_pause_s=8.0)


def decided(recovery: Recovery, sign: Sign, *, now_s: float = 0.0, wanted: bool = True) -> Step:
    return recovery.decide(sign, wanted=wanted, now_s=now_s)


@pytest.mark.parametrize(
    ("sign", "wanted", "unwanted"),
    [
        (Sign.ALIVE, Step.WATCH, Step.WATCH),
        (Sign.LATE, Step.WATCH, Step.WATCH),
        (Sign.FAILS, Step.WATCH, Step.WATCH),
        (Sign.DEAD, Step.HEAL, Step.HEAL),
        (Sign.ABSENT, Step.LOAD, Step.WATCH),
        (Sign.LOADING, Step.WATCH, Step.WATCH),
        (Sign.UNREACHABLE, Step.WATCH, Step.WATCH),
    ],
)
def test_each_sign_has_its_step(sign: Sign, wanted: Step, unwanted: Step) -> None:
    assert decided(Recovery(LIMITS), sign) is wanted
    assert decided(Recovery(LIMITS), sign, wanted=False) is unwanted


def test_a_model_that_answers_nonsense_is_healed_after_several_in_a_row() -> None:
    recovery = Recovery(LIMITS)
    for sign in (Sign.FAILS, Sign.FAILS, Sign.ALIVE, Sign.FAILS, Sign.FAILS):
        recovery.canary(sign, now_s=0.0)
    assert decided(recovery, Sign.ALIVE) is Step.WATCH
    recovery.canary(Sign.FAILS, now_s=0.0)
    assert decided(recovery, Sign.ALIVE) is Step.HEAL
    assert decided(recovery, Sign.UNREACHABLE) is Step.WATCH
    recovery.attempted(loaded=True, now_s=0.0)
    assert decided(recovery, Sign.ALIVE, now_s=50.0) is Step.WATCH


def test_a_model_that_is_late_gets_the_time_to_end_itself() -> None:
    recovery = Recovery(LIMITS)
    for now_s in (10.0, 60.0, 109.0):
        recovery.canary(Sign.LATE, now_s=now_s)
        assert decided(recovery, Sign.LATE, now_s=now_s) is Step.WATCH
    assert decided(recovery, Sign.LATE, now_s=110.0) is Step.HEAL
    recovery.canary(Sign.ALIVE, now_s=111.0)
    recovery.canary(Sign.LATE, now_s=112.0)
    assert decided(recovery, Sign.LATE, now_s=113.0) is Step.WATCH


def test_a_model_whose_every_answer_is_unusable_is_healed() -> None:
    recovery = Recovery(LIMITS)
    for _ in range(3):
        assert decided(recovery, Sign.FAILS) is Step.WATCH
        recovery.canary(Sign.FAILS, now_s=0.0)
    assert decided(recovery, Sign.FAILS) is Step.HEAL


def test_what_was_found_says_nothing_of_the_next_process() -> None:
    recovery = Recovery(LIMITS)
    for sign in (Sign.LATE, Sign.FAILS, Sign.FAILS):
        recovery.canary(sign, now_s=0.0)
    recovery.canary(Sign.LATE, now_s=0.0)
    recovery.renewed()
    assert decided(recovery, Sign.ALIVE, now_s=1000.0) is Step.WATCH


def test_attempts_that_fail_come_ever_more_seldom() -> None:
    recovery, now_s, pauses = Recovery(LIMITS), 0.0, []
    for _ in range(5):
        recovery.attempted(loaded=False, now_s=now_s)
        began_s = now_s
        while decided(recovery, Sign.DEAD, now_s=now_s) is Step.WATCH:
            now_s += 0.5
        pauses.append(now_s - began_s)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0]


@pytest.mark.parametrize("loaded", [True, False])
def test_attempts_may_fail_for_weeks(loaded: bool) -> None:
    recovery = Recovery(LIMITS)
    for _ in range(5_000):
        recovery.attempted(loaded=loaded, now_s=0.0)
    assert decided(recovery, Sign.DEAD, now_s=8.0) is Step.HEAL


def test_a_canary_that_passes_makes_the_next_attempt_the_first() -> None:
    recovery = Recovery(LIMITS)
    for _ in range(4):
        recovery.attempted(loaded=False, now_s=0.0)
    recovery.canary(Sign.ALIVE, now_s=9.0)
    recovery.attempted(loaded=False, now_s=10.0)
    assert decided(recovery, Sign.DEAD, now_s=10.9) is Step.WATCH
    assert decided(recovery, Sign.DEAD, now_s=11.0) is Step.HEAL


def test_a_model_that_dies_right_after_each_load_is_not_healed_without_a_pause() -> None:
    recovery = Recovery(LIMITS)
    recovery.attempted(loaded=True, now_s=0.0)
    assert decided(recovery, Sign.DEAD, now_s=0.9) is Step.WATCH
    assert decided(recovery, Sign.DEAD, now_s=1.0) is Step.HEAL


def test_growth_over_the_limit_is_a_reason_for_a_fresh_process_but_not_too_often() -> None:
    recycling = Recycling(limit_bytes=1000, min_interval_s=60.0, now_s=0.0)
    assert not recycling.due(500, now_s=1.0)
    assert not recycling.due(1001, now_s=59.0)
    assert not recycling.due(1000, now_s=60.0)
    assert recycling.due(1001, now_s=60.0)
    recycling.started(now_s=61.0)
    assert not recycling.due(1001, now_s=61.5)
    assert not recycling.due(500, now_s=62.0)
    assert not recycling.due(2000, now_s=120.0)
    assert recycling.due(2000, now_s=121.0)


def test_a_process_that_was_as_large_from_the_start_is_left_alone() -> None:
    recycling = Recycling(limit_bytes=1000, min_interval_s=0.0, now_s=0.0)
    assert not recycling.due(1200, now_s=1.0)
    assert not recycling.due(1500, now_s=2.0)
    assert recycling.due(1501, now_s=3.0)
