"""Cuts a whole file into utterances, in one pass and in memory that does not grow with it."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from gateway.audio.decode import decode
from gateway.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ
from gateway.core.framing import Framer
from gateway.core.segmenter import Event, Segmenter, SegmenterConfig, UtteranceCut
from gateway.ports import SpeechScorer


@dataclass(frozen=True, slots=True)
class AudioEnd:
    """The last thing that comes out of a file: its length as decoded."""

    duration_s: float


def cut_file(
    file: BinaryIO, *, max_audio_s: float, config: SegmenterConfig, scorer: SpeechScorer
) -> Generator[UtteranceCut | AudioEnd, None, None]:
    """Yields the utterances of a seekable file in order, then one AudioEnd.

    Blocking work for a worker thread; closing the generator ends it. Raises what `decode` raises, possibly after the
    first utterances. `scorer` is a fresh one.
    """
    framer = Framer()
    segmenter = Segmenter(config)
    for samples in decode(file, max_audio_s=max_audio_s):
        frames = framer.push(samples)
        yield from _cuts(segmenter.push(frames, scorer.score(frames)))
    rest = framer.finish()
    if len(rest):
        padded = np.pad(rest, (0, FRAME_SAMPLES - len(rest)))
        yield from _cuts(segmenter.push(rest, scorer.score(padded)))
    yield from _cuts(segmenter.finish())
    yield AudioEnd(segmenter.received_samples / SAMPLE_RATE_HZ)


def _cuts(events: list[Event]) -> Iterator[UtteranceCut]:
    return (event for event in events if isinstance(event, UtteranceCut))
