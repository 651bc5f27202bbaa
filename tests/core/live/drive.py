"""Drives a session as its shell would: audio from a notation, answers from the test."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from gateway.core.audio import FRAME_MS, FRAME_SAMPLES, DecodeOptions, Samples, Segment, Transcript, Word
from gateway.core.live.effects import Effect, Message, Notify, Transcribe
from gateway.core.live.session import Session
from gateway.core.live.session_config import SessionConfig, SessionLimits
from gateway.core.segmenter import SegmenterConfig

T = TypeVar("T")

SEGMENTER = SegmenterConfig(
    min_speech_ms=2 * FRAME_MS,
    silence_ms=3 * FRAME_MS,
    pre_roll_ms=FRAME_MS,
    post_roll_ms=FRAME_MS,
    max_utterance_ms=400,
)
CONFIG = SessionConfig(model="base", options=DecodeOptions(), segmenter=SEGMENTER)
LIMITS = SessionLimits(max_pending_audio_ms=2_000)
SPEECH = "..######..."
SCORES = {"#": 1.0, "-": 0.3, ".": 0.0}


def audio_of(frames: int, start: int = 0) -> Samples:
    """Loud samples of which each tells its position."""
    return (np.arange(start, start + frames * FRAME_SAMPLES) % 30_011).astype(np.int16)


def said(text: str, **changes: object) -> Transcript:
    """A transcript of `text`."""
    made = Transcript(text, "en", 0.5, (segment(text),) if text else ())
    return replace(made, **changes)  # type: ignore[arg-type]  # tests change any field


def segment(
    text: str, start_s: float = 0.0, end_s: float = 0.1, words: Sequence[Word] = (), **changes: float
) -> Segment:
    """A segment with good figures."""
    made = Segment(text, start_s, end_s, (1, 2), 0.0, -0.2, 1.2, 0.01, tuple(words))
    return replace(made, **changes)  # type: ignore[arg-type]  # tests change any figure


def messages(effects: Iterable[Effect], kind: type[T]) -> list[T]:
    """The messages of one kind, in order."""
    told: list[Message] = [effect.message for effect in effects if isinstance(effect, Notify)]
    return [message for message in told if isinstance(message, kind)]


def kinds(effects: Iterable[Effect]) -> list[str]:
    """The names of the effects, and of the messages in them."""
    return [type(effect.message if isinstance(effect, Notify) else effect).__name__ for effect in effects]


@dataclass
class Driver:
    """One session, its clock, and what it asked for."""

    config: SessionConfig = CONFIG
    limits: SessionLimits = LIMITS
    now_s: float = 100.0
    sent_samples: int = 0
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(self.config, self.limits, now_s=self.now_s)

    def speak(self, notation: str) -> list[Effect]:
        """Sends a frame for each sign."""
        return self.send(audio_of(len(notation), self.sent_samples), [SCORES[sign] for sign in notation])

    def send(self, samples: Samples, scores: Sequence[float]) -> list[Effect]:
        self.sent_samples += len(samples)
        frames = self.session.receive_audio(samples, now_s=self.now_s)
        return self.keep(self.session.receive_scores(scores[: len(frames) // FRAME_SAMPLES]))

    def keep(self, effects: list[Effect]) -> list[Effect]:
        self.effects += effects
        return effects

    def answer(self, index: int, transcript: Transcript) -> list[Effect]:
        return self.keep(self.session.receive_transcript(index, transcript, now_s=self.now_s))

    def fail(self, index: int, error: Exception) -> list[Effect]:
        return self.keep(self.session.receive_failure(index, error, now_s=self.now_s))  # type: ignore[arg-type]

    def finish(self) -> list[Effect]:
        return self.keep(self.session.finish(now_s=self.now_s))

    def wants_audio(self) -> bool:
        return self.session.wants_audio

    @property
    def asked(self) -> list[Transcribe]:
        """Every Transcribe so far."""
        return [effect for effect in self.effects if isinstance(effect, Transcribe)]
