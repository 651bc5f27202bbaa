from loadtests.soak.memory import at_least, at_most

LOOKS = [{"tritone_tasks": 12, "objects of a": 5, "objects of b": 1}, {"tritone_tasks": 11, "objects of a": 4}]


def test_before_the_load_an_object_counts_that_any_look_saw_and_what_is_held_does_not() -> None:
    assert at_most(LOOKS) == {"tritone_tasks": 11, "objects of a": 5, "objects of b": 1}


def test_after_the_load_an_object_counts_that_every_look_saw() -> None:
    assert at_least(LOOKS) == {"tritone_tasks": 11, "objects of a": 4, "objects of b": 0}
