from dataclasses import dataclass, field

from gateway.core.balance import HALF_LIFE_S, MAX_FAILURES, Balance, Load


@dataclass
class One:
    name: str
    load: Load = field(default_factory=Load)


def test_the_least_busy_is_chosen() -> None:
    balance, a, b = Balance(), One("a"), One("b")
    assert [balance.take([a, b], now_s=0).name for _ in range(4)] == ["a", "b", "a", "b"]
    balance.give_back(b, served=True, now_s=0)
    assert balance.take([a, b], now_s=0) is b
    assert (a.load.in_flight, b.load.in_flight) == (2, 2)


def test_the_idle_take_turns() -> None:
    balance, all_of_them = Balance(), [One("a"), One("b"), One("c")]
    turns = []
    for _ in range(6):
        turns.append(balance.take(all_of_them, now_s=0))
        balance.give_back(turns[-1], served=True, now_s=0)
    assert [one.name for one in turns] == list("abcabc")


def test_a_slow_one_is_given_less() -> None:
    balance, slow, quick = Balance(), One("slow"), One("quick")
    assert balance.take([slow, quick], now_s=0) is slow
    for _ in range(5):
        assert balance.take([slow, quick], now_s=0) is quick
        balance.give_back(quick, served=True, now_s=0)


def test_one_that_fails_at_once_is_not_given_the_most() -> None:
    balance, works, fails = Balance(), One("works", Load(in_flight=4)), One("fails")
    given = []
    for now_s in range(100):
        given.append(balance.take([works, fails], now_s=now_s / 10))
        balance.give_back(given[-1], served=given[-1] is works, now_s=now_s / 10)
    assert 0 < given.count(fails) <= MAX_FAILURES


def test_one_that_failed_is_tried_again_later_and_is_whole_when_it_serves() -> None:
    balance, works, failed = Balance(), One("works"), One("failed")
    for _ in range(2 * MAX_FAILURES):
        failed.load.in_flight += 1
        balance.give_back(failed, served=False, now_s=0)
    works.load.in_flight = 2
    assert balance.take([works, failed], now_s=3 * HALF_LIFE_S) is works
    assert balance.take([works, failed], now_s=6 * HALF_LIFE_S) is failed
    balance.give_back(failed, served=None, now_s=6 * HALF_LIFE_S)
    assert failed.load.failures == MAX_FAILURES
    failed.load.in_flight += 1
    balance.give_back(failed, served=True, now_s=6 * HALF_LIFE_S)
    assert balance.take([works, failed], now_s=0) is failed
