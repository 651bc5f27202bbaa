"""Makes the final that a client is told from the model's answer to one utterance."""

from gateway.core.audio import Filtered, Transcript
from gateway.core.filters import Quality, QualityLevel, quality, without_filtered
from gateway.core.live.effects import Final
from gateway.core.live.intake import ms_of_samples
from gateway.core.live.pending import Skipped, Waiting
from gateway.core.timeline import placed


def final_of(waiting: Waiting, answer: Transcript | Skipped, *, now_s: float) -> Final:
    """The final of `waiting`. Times go onto the client's clock; filters change the text, not the segments."""
    utterance, config = waiting.utterance, waiting.config
    language: str | None
    if isinstance(answer, Skipped):
        language = config.options.language or waiting.context.language
        heard = Transcript("", language or "", 0.0, filtered=(Filtered(answer.reason, ""),))
        judged = Quality(QualityLevel.POOR, (answer.reason,))
    else:
        heard = without_filtered(answer, config.filters, waiting.options.prompt if waiting.options else None)
        language, judged = heard.language, quality(answer.segments)
    segments = tuple(
        placed(segment, start_s=utterance.start_s, duration_s=utterance.duration_s) for segment in heard.segments
    )
    words = tuple(word for segment in segments for word in segment.words)
    return Final(
        index=utterance.index,
        text=heard.text,
        language=language,
        language_probability=heard.language_probability,
        start_ms=ms_of_samples(utterance.start_sample),
        end_ms=ms_of_samples(utterance.start_sample + len(utterance.samples)),
        reason=waiting.reason,
        latency_ms=max(0, round((now_s - waiting.ended_at_s) * 1000)),
        segments=segments,
        words=words if config.options.word_timestamps else None,
        filtered=heard.filtered,
        quality=judged if config.quality else None,
        language_probabilities=heard.language_probabilities,
    )
