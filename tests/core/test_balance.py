from dataclasses import dataclass, field

from gateway.core.balance import Balance, Load


@dataclass
class One:
    name: str
    load: Load = field(default_factory=Load)


def test_the_least_busy_is_chosen() -> None:
    balance, a, b = Balance(), One("a"), One("b")
    assert [balance.take([a, b]).name for _ in range(4)] == ["a", "b", "a", "b"]
    balance.give_back(b)
    assert balance.take([a, b]) is b
    assert (a.load.in_flight, b.load.in_flight) == (2, 2)


def test_the_idle_take_turns() -> None:
    balance, all_of_them = Balance(), [One("a"), One("b"), One("c")]
    turns = []
    for _ in range(6):
        turns.append(balance.take(all_of_them))
        balance.give_back(turns[-1])
    assert [one.name for one in turns] == list("abcabc")


def test_a_slow_one_is_given_less() -> None:
    balance, slow, quick = Balance(), One("slow"), One("quick")
    assert balance.take([slow, quick]) is slow
    for _ in range(5):
        assert balance.take([slow, quick]) is quick
        balance.give_back(quick)
