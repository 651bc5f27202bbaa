from loadtests.word_times import Timed, matched


def test_words_that_both_heard_are_compared_and_others_left_out() -> None:
    ours = [Timed("The", 0.0, 0.2), Timed("old", 0.2, 0.5), Timed("bridge.", 0.5, 1.0)]
    theirs = [Timed("the", 0.1, 0.2), Timed("cold", 0.2, 0.5), Timed("bridge", 0.5, 0.9)]
    assert list(matched(ours, theirs)) == [(ours[0], theirs[0]), (ours[2], theirs[2])]
