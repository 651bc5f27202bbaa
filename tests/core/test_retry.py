from gateway.core import errors
from gateway.core.deadline import Deadline
from gateway.core.retry import RetryBudget

GONE = errors.ModelUnavailable("gone")
LATER = Deadline(10.0)


def test_only_what_a_model_took_along_is_tried_again() -> None:
    budget = RetryBudget(reserve=100)
    assert budget.allows(GONE, LATER, now_s=0.0)
    for error in (errors.Overloaded("full"), errors.ModelFailed("odd"), errors.DeadlineExceeded("late")):
        assert not budget.allows(error, LATER, now_s=0.0)
    assert budget.left == 99


def test_nothing_is_tried_when_its_time_is_over() -> None:
    assert not RetryBudget(reserve=100).allows(GONE, LATER, now_s=10.0)


def test_the_budget_ends_and_answers_fill_it_up_to_the_reserve() -> None:
    budget = RetryBudget(reserve=2, share=0.5)
    assert [budget.allows(GONE, LATER, now_s=0.0) for _ in range(3)] == [True, True, False]
    budget.answered()
    assert not budget.allows(GONE, LATER, now_s=0.0)
    budget.answered()
    assert budget.allows(GONE, LATER, now_s=0.0)
    for _ in range(9):
        budget.answered()
    assert budget.left == 2
