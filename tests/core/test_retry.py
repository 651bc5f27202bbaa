from gateway.core import errors
from gateway.core.deadline import Deadline
from gateway.core.retry import RetryBudget

GONE = errors.ModelUnavailable("gone")
LATER = Deadline(1000.0)


def tries(budget: RetryBudget, *, now_s: float) -> int:
    """How many are allowed at once."""
    count = 0
    while budget.allows(GONE, LATER, now_s=now_s):
        count += 1
    return count


def test_only_what_a_model_took_along_is_tried_again() -> None:
    budget = RetryBudget(reserve=1, now_s=0.0)
    for error in (errors.Overloaded("full"), errors.ModelFailed("odd"), errors.DeadlineExceeded("late")):
        assert not budget.allows(error, LATER, now_s=0.0)
    assert tries(budget, now_s=0.0) == 1


def test_nothing_is_tried_when_its_time_is_over() -> None:
    assert not RetryBudget(reserve=100, now_s=0.0).allows(GONE, LATER, now_s=1000.0)


def test_the_reserve_ends_and_answers_fill_it() -> None:
    budget = RetryBudget(reserve=2, now_s=0.0)
    assert tries(budget, now_s=0.0) == 2
    for _ in range(9):
        budget.answered()
    assert tries(budget, now_s=0.0) == 0
    for _ in range(2):
        budget.answered()
    assert tries(budget, now_s=0.0) == 1
    for _ in range(999):
        budget.answered()
    assert tries(budget, now_s=0.0) == 2


def test_time_fills_it_too() -> None:
    budget = RetryBudget(reserve=10, now_s=100.0)
    assert tries(budget, now_s=100.0) == 10
    assert tries(budget, now_s=115.0) == 5
    assert tries(budget, now_s=900.0) == 10
