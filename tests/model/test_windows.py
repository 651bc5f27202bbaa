import pytest

from windows import LEAST_FRAMES, MAX_FRAMES, MAX_NEW_TOKENS, MAX_SAMPLES, predicted_cost, token_cap, window_frames


@pytest.mark.parametrize(
    ("seconds", "step_frames", "frames"),
    [
        *((0.1, 100, 800), (6, 100, 800), (6.01, 100, 900), (10, 100, 1200), (27.5, 100, 3000), (30, 100, MAX_FRAMES)),
        *((0.1, 400, 800), (6.01, 400, 1200), (26, 400, 2800), (26.01, 400, MAX_FRAMES)),
    ],
)
def test_a_window_is_longer_than_the_speech_and_rounded_up(seconds: float, step_frames: int, frames: int) -> None:
    assert window_frames(int(seconds * 16000), step_frames) == frames


def test_who_talks_gets_a_second_more() -> None:
    assert window_frames(7 * 16000, 100, urgent=True) == window_frames(7 * 16000, 100) + 100


def test_a_window_always_holds_the_speech() -> None:
    assert all(window_frames(n, step) * 160 >= n for step in (100, 400) for n in range(0, MAX_SAMPLES + 1, 1601))


def test_the_token_cap_grows_with_the_speech_and_ends_at_whispers_own() -> None:
    assert token_cap(16000) == 24
    assert token_cap(MAX_SAMPLES) == MAX_NEW_TOKENS


def test_cost_grows_faster_than_the_window() -> None:
    costs = [predicted_cost(frames) / frames for frames in range(LEAST_FRAMES, MAX_FRAMES + 1, 100)]
    assert costs == sorted(costs)
