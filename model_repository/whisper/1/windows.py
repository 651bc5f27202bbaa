"""How much of Whisper's 30 s window an utterance gets, how many tokens it may use, and what that is predicted to cost.

Whisper pads everything to 30 s, but its encoder accepts less, and its cost grows faster than the window. Too tight a
window makes the decoder loop; in `max(8 s, n + 2 s)` 0 (base) and 14 (tiny.en) of 335 utterances looked wrong
(docs/performance.md), and the guard in guard.py has those decoded again. Who talks would wait for that: another second
of margin makes it rarer.
"""

FRAMES_PER_S = 100
SAMPLES_PER_FRAME = 160
MAX_FRAMES = 3000
MAX_SAMPLES = MAX_FRAMES * SAMPLES_PER_FRAME

LEAST_FRAMES = 800
MARGIN_FRAMES = 200
URGENT_MARGIN_FRAMES = 300

CANARY_FRAMES = 100
CANARY_TOKENS = 4

MAX_NEW_TOKENS = 224
"""Half of Whisper's text context: the most its decoder produces for one window."""

TOKENS_PER_S = 12
"""No speech is faster: English is 3-5 tokens a second, Thai or Burmese in bytes below 12."""


def window_frames(samples: int, step_frames: int, *, urgent: bool = False) -> int:
    """The window, in mel frames, for an utterance of so many samples: a multiple of `step_frames`, or MAX_FRAMES."""
    margin = URGENT_MARGIN_FRAMES if urgent else MARGIN_FRAMES
    wanted = max(LEAST_FRAMES, -(-samples // SAMPLES_PER_FRAME) + margin)
    return min(MAX_FRAMES, -(-wanted // step_frames) * step_frames)


def token_cap(samples: int) -> int:
    """New tokens that speech of so many samples can need; a result that reaches it has lost its way."""
    speech_s = samples / SAMPLES_PER_FRAME / FRAMES_PER_S
    return min(MAX_NEW_TOKENS, int(TOKENS_PER_S * speech_s) + 12)


def predicted_cost(frames: int) -> float:
    """Relative time of one item: the encoder times measured on base fit n + n²/1200 (docs/performance.md)."""
    return frames + frames * frames / 1200
