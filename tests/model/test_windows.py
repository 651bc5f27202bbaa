import pytest

from windows import BUCKETS_FRAMES, MAX_FRAMES, MAX_NEW_TOKENS, MAX_SAMPLES, predicted_cost, token_cap, window_frames


@pytest.mark.parametrize(
    ("seconds", "frames"), [(0.1, 800), (4.8, 800), (4.9, 1000), (10, 1500), (16, 2200), (22.4, 3000), (30, MAX_FRAMES)]
)
def test_a_window_is_a_quarter_and_two_seconds_longer_than_the_speech(seconds: float, frames: int) -> None:
    assert window_frames(int(seconds * 16000)) == frames


def test_a_window_always_holds_the_speech() -> None:
    assert all(window_frames(n) * 160 >= n for n in range(0, MAX_SAMPLES + 1, 1601))


def test_the_token_cap_grows_with_the_speech_and_ends_at_whispers_own() -> None:
    assert token_cap(16000) == 24
    assert token_cap(MAX_SAMPLES) == MAX_NEW_TOKENS


def test_cost_grows_faster_than_the_window() -> None:
    costs = [predicted_cost(frames) / frames for frames in BUCKETS_FRAMES]
    assert costs == sorted(costs)
