"""Cuts audio that is all there into utterances, in one pass and in memory that does not grow with it."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from gateway.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Quiet, Samples
from gateway.core.framing import Framer
from gateway.core.segmenter import Event, Segmenter, SegmenterConfig, UtteranceCut
from gateway.ports import SpeechScorer

# Each piece has a cost of its own: judged second by second, a file takes a fifteenth longer.
MIN_PIECE_SAMPLES = 3 * SAMPLE_RATE_HZ
# To decode them from 8 channels at 384 kHz takes a third of a second of one core.
QUIET_SAMPLES = 30 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class AudioEnd:
    """The last thing that comes out of a file: its length as decoded."""

    duration_s: float


def cut_audio(
    pieces: Iterable[Samples], *, config: SegmenterConfig, scorer: SpeechScorer
) -> Generator[UtteranceCut | Quiet | AudioEnd, None, None]:
    """Yields the utterances of `pieces`, shape (n,), in order, and Quiet between them, then one AudioEnd.

    Blocking work for a worker thread. Raises what `pieces` raises, possibly after the first utterances. `scorer` is a
    fresh one.
    """
    framer = Framer()
    segmenter = Segmenter(config)
    quiet_samples = 0
    for samples in _joined(pieces):
        frames = framer.push(samples)
        cuts = _cuts(segmenter.push(frames, scorer.score(frames)))
        yield from cuts
        quiet_samples = 0 if cuts else quiet_samples + len(samples)
        if quiet_samples >= QUIET_SAMPLES:
            yield Quiet()
            quiet_samples = 0
    rest = framer.finish()
    if len(rest):
        padded = np.pad(rest, (0, FRAME_SAMPLES - len(rest)))
        yield from _cuts(segmenter.push(rest, scorer.score(padded)))
    yield from _cuts(segmenter.finish())
    yield AudioEnd(segmenter.received_samples / SAMPLE_RATE_HZ)


def _joined(pieces: Iterable[Samples]) -> Iterator[Samples]:
    """The same audio in pieces of MIN_PIECE_SAMPLES and more, but the last."""
    held: list[Samples] = []
    held_samples = 0
    for samples in pieces:
        held.append(samples)
        held_samples += len(samples)
        if held_samples >= MIN_PIECE_SAMPLES:
            yield np.concatenate(held)
            held, held_samples = [], 0
    if held:
        yield np.concatenate(held)


def _cuts(events: list[Event]) -> list[UtteranceCut]:
    return [event for event in events if isinstance(event, UtteranceCut)]
