"""Tells a result that looks wrong from one that can be trusted, and what to try next."""

import re
from dataclasses import dataclass

from options import Options
from windows import MAX_FRAMES

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""The fallback ladder of openai/whisper, transcribe.py."""

SAMPLED_HYPOTHESES = 5
"""faster-whisper's best_of: drawn at each temperature above 0."""

MAX_CHARACTERS_PER_S = 30
"""Read English has 15; the fastest talkers reach 25."""

SPARE_CHARACTERS = 20
"""So that one short exclamation is not judged by its rate."""

WIDER_FRAMES = 400
"""Of 26 utterances in 367 that looked wrong (tiny.en, beam 5, prompted, n + 3 s) every one was right with so much more
window, in a quarter of the time of the full one (docs/performance.md)."""

NO_SPEECH = 0.6
"""openai/whisper's threshold, which an option may lower for silence, but not for what is only uncertain."""

REPEATED_WORDS = 3
"""A phrase of so many words that is said twice in a row at the end is how a loop starts."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One decoding of one utterance."""

    tokens: tuple[int, ...]
    text: str
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    reached_cap: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an utterance is decoded: the window in mel frames, whether it was widened, and the temperature.

    `is_rest`: what the result before left unsaid, and no second try.
    """

    frames: int
    temperature: float
    is_wider: bool = False
    is_rest: bool = False


def is_silence(hypothesis: Hypothesis, options: Options) -> bool:
    """Whether model and figures agree that nobody spoke (openai/whisper's rule)."""
    return (
        hypothesis.no_speech_prob > options.no_speech_threshold and hypothesis.avg_logprob < options.log_prob_threshold
    )


def nobody_speaks(hypothesis: Hypothesis, options: Options) -> bool:
    """Whether what looks wrong is a text for noise or music, which no other attempt makes better.

    That is sure in the full window alone: a few words in a smaller one may look so too (docs/performance.md).
    """
    return hypothesis.no_speech_prob > max(NO_SPEECH, options.no_speech_threshold)


def looks_wrong(hypothesis: Hypothesis, options: Options, speech_s: float, frames: int) -> bool:
    """Whether the result must be decoded again: looped, cut off, unsure, or more text than the time can hold.

    An ending that is still said twice in the full window was said twice.
    """
    if hypothesis.reached_cap or hypothesis.compression_ratio > options.compression_ratio_threshold:
        return True
    if len(hypothesis.text) > MAX_CHARACTERS_PER_S * speech_s + SPARE_CHARACTERS:
        return True
    if frames < MAX_FRAMES and ends_in_repeat(hypothesis.text):
        return True
    return hypothesis.avg_logprob < options.log_prob_threshold and not is_silence(hypothesis, options)


def ends_in_repeat(text: str) -> bool:
    """Whether the text ends in the same phrase twice, whatever its case and punctuation."""
    words = re.findall(r"\w+", text.lower())
    return any(words[-size:] == words[-2 * size : -size] for size in range(REPEATED_WORDS, len(words) // 2 + 1))


def next_attempt(attempt: Attempt, options: Options, wrong: Hypothesis) -> Attempt | None:
    """What to try after a result that looks wrong: a wider window, the full one, then the ladder, then nothing."""
    if attempt.frames < MAX_FRAMES:
        is_last = attempt.is_wider or nobody_speaks(wrong, options)
        wider = MAX_FRAMES if is_last else min(MAX_FRAMES, attempt.frames + WIDER_FRAMES)
        return Attempt(wider, attempt.temperature, is_wider=True)
    if options.temperature is not None:
        return None
    hotter = [temperature for temperature in TEMPERATURES if temperature > attempt.temperature]
    return Attempt(MAX_FRAMES, hotter[0]) if hotter else None


def best_of(hypotheses: list[Hypothesis], options: Options) -> Hypothesis:
    """The most probable of those that do not loop, or of all when all loop (faster-whisper's choice)."""
    sound = [h for h in hypotheses if h.compression_ratio <= options.compression_ratio_threshold and not h.reached_cap]
    return max(sound or hypotheses, key=lambda hypothesis: hypothesis.avg_logprob)
