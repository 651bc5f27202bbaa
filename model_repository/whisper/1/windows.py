"""How much of Whisper's 30 s window an utterance gets, how many tokens it may use, and what that is predicted to cost.

Whisper pads everything to 30 s, but its encoder accepts less, and its cost grows faster than the window. Too tight a
window makes the decoder loop; `max(8 s, 1.25 n + 2 s)` looped on 0 of 69 utterances at a quarter of the cost
(docs/performance.md), and the guard in guard.py catches what still goes wrong.
"""

FRAMES_PER_S = 100
SAMPLES_PER_FRAME = 160
MAX_FRAMES = 3000
MAX_SAMPLES = MAX_FRAMES * SAMPLES_PER_FRAME

BUCKETS_FRAMES = (800, 1000, 1200, 1500, 1800, 2200, 2600, MAX_FRAMES)
"""Requests are batched by bucket: few enough that strangers meet, close enough that little is padded."""

CANARY_FRAMES = 100

MAX_NEW_TOKENS = 224
"""Half of Whisper's text context: the most its decoder produces for one window."""

TOKENS_PER_S = 12
"""No speech is faster: English is 3-5 tokens a second, Thai or Burmese in bytes below 12."""


def window_frames(samples: int) -> int:
    """The bucket, in mel frames, for an utterance of so many samples."""
    frames = -(-samples // SAMPLES_PER_FRAME)
    wanted = 1.25 * frames + 2 * FRAMES_PER_S
    return next((bucket for bucket in BUCKETS_FRAMES if bucket >= wanted), MAX_FRAMES)


def token_cap(samples: int) -> int:
    """New tokens that speech of so many samples can need; a result that reaches it has lost its way."""
    speech_s = samples / SAMPLES_PER_FRAME / FRAMES_PER_S
    return min(MAX_NEW_TOKENS, int(TOKENS_PER_S * speech_s) + 12)


def predicted_cost(frames: int) -> float:
    """Relative time of one item: the encoder times measured on base fit n + n²/1200 (docs/performance.md)."""
    return frames + frames * frames / 1200
