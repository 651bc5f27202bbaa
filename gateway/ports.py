"""What the gateway's core and doors need from the outside, as Protocols."""

from collections.abc import Sequence
from typing import Protocol

from gateway.core.admission import Permit
from gateway.core.audio import DecodeOptions, Samples, Transcript
from gateway.core.deadline import Deadline


class SpeechScorer(Protocol):
    """Judges speech frame by frame. It keeps state: one object a session."""

    def score(self, frames: Samples) -> Sequence[float]:
        """Scores 0..1, one for each FRAME_SAMPLES of `frames`, whose length is a multiple of FRAME_SAMPLES."""
        ...


class Transcriber(Protocol):
    """Turns one utterance into text. The permit is required: what was not admitted can't reach the model."""

    async def transcribe(
        self,
        samples: Samples,
        options: DecodeOptions,
        *,
        model: str,
        request_id: str,
        deadline: Deadline,
        permit: Permit,
    ) -> Transcript:
        """The transcript, with times from the first sample. Raises a TritoneError."""
        ...
