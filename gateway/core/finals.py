"""Makes the final that a client is told from the model's answer to one utterance."""

from gateway.core.audio import Segment, Transcript
from gateway.core.effects import Final
from gateway.core.filters import Filtered, Heard, Quality, QualityLevel, apply_filters, quality
from gateway.core.intake import ms_of_samples
from gateway.core.pending import Skipped, Waiting
from gateway.core.timeline import placed


def final_of(waiting: Waiting, answer: Transcript | Skipped, *, now_s: float) -> Final:
    """The final of `waiting`. Times go onto the client's clock; filters change the text, not the segments."""
    utterance, config = waiting.utterance, waiting.config
    segments: tuple[Segment, ...] = ()
    filtered: tuple[Filtered, ...]
    if isinstance(answer, Skipped):
        text, filtered = "", (Filtered(answer.reason, ""),)
        language, probability = config.options.language or waiting.context.language, 0.0
        judged = Quality(QualityLevel.POOR, (answer.reason,))
    else:
        language, probability = answer.language, answer.language_probability
        judged = quality(answer.segments)
        prompt = waiting.options.prompt if waiting.options else None
        heard = Heard(language=language, prompt=prompt, level=judged.level)
        text, filtered = apply_filters(answer.text, config.filters, heard)
        segments = tuple(
            placed(segment, start_s=utterance.start_s, duration_s=utterance.duration_s) for segment in answer.segments
        )
    words = tuple(word for segment in segments for word in segment.words)
    return Final(
        index=utterance.index,
        text=text,
        language=language,
        language_probability=probability,
        start_ms=ms_of_samples(utterance.start_sample),
        end_ms=ms_of_samples(utterance.start_sample + len(utterance.samples)),
        reason=waiting.reason,
        latency_ms=max(0, round((now_s - waiting.ended_at_s) * 1000)),
        segments=segments,
        words=words if config.options.word_timestamps else None,
        filtered=filtered,
        quality=judged if config.quality else None,
    )
