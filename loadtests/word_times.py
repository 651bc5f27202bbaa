"""How far Tritone's word times are from faster-whisper's on the same recordings."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from faster_whisper import WhisperModel

from gateway import flags
from gateway.embedded import weights
from loadtests.corpus import Clip, load_corpus
from loadtests.errors import BenchError, ending
from loadtests.rows import percentile
from loadtests.service import started

_BEAM_SIZE: Final = 1


@dataclass(frozen=True, slots=True)
class Timed:
    """A word and when it is said, in seconds of its clip."""

    word: str
    start_s: float
    end_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the distances. 0: measured; 1: it could not be."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.word_times", description=__doc__)
    parser.add_argument("--audio", type=Path, required=True, metavar="DIR", help="recordings with transcripts.txt")
    parser.add_argument("--model", default="base", help="weights (default base)")
    args = parser.parse_args(arguments)
    with ending("word_times"):
        corpus = load_corpus(args.audio)
        reference = _of_faster_whisper(args.model, corpus)
        pairs = [
            pair
            for ours, theirs in zip(asyncio.run(_of_tritone(args.model, corpus)), reference, strict=True)
            for pair in matched(ours, theirs)
        ]
    for name, distances_s in (
        ("start", [abs(ours.start_s - theirs.start_s) for ours, theirs in pairs]),
        ("end", [abs(ours.end_s - theirs.end_s) for ours, theirs in pairs]),
    ):
        median_s, p95_s = percentile(distances_s, 50), percentile(distances_s, 95)
        print(f"{len(pairs)} words, {name}: median {median_s:.3f} s, p95 {p95_s:.3f} s from faster-whisper's")
    return 0


def matched(ours: Sequence[Timed], theirs: Sequence[Timed]) -> Iterator[tuple[Timed, Timed]]:
    """The words that both heard, in order."""
    left, right = ([_plain(timed.word) for timed in heard] for heard in (ours, theirs))
    for block in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        yield from zip(ours[block.a : block.a + block.size], theirs[block.b : block.b + block.size], strict=True)


def _plain(word: str) -> str:
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def _of_faster_whisper(model: str, corpus: Sequence[Clip]) -> list[list[Timed]]:
    folder = weights.fetch(model, flags.from_args(argparse.Namespace(), os.environ).cache_dir, print)
    whisper = WhisperModel(str(folder), compute_type="int8")
    heard = []
    for clip in corpus:
        segments, _ = whisper.transcribe(str(clip.path), beam_size=_BEAM_SIZE, word_timestamps=True)
        heard.append([Timed(word.word, word.start, word.end) for segment in segments for word in segment.words or ()])
    return heard


async def _of_tritone(model: str, corpus: Sequence[Clip]) -> list[list[Timed]]:
    async with started(model) as service, aiohttp.ClientSession() as http:
        return [await _posted(http, service.url, clip) for clip in corpus]


async def _posted(http: aiohttp.ClientSession, url: str, clip: Clip) -> list[Timed]:
    form = aiohttp.FormData(
        {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
        | {"beam_size": str(_BEAM_SIZE)}
    )
    form.add_field("file", clip.path.read_bytes(), filename=clip.path.name)
    async with http.post(f"{url}/v1/audio/transcriptions", data=form) as answer:
        if answer.status != HTTPStatus.OK:
            raise BenchError(f"{clip.name}: HTTP {answer.status}")
        return [Timed(word["word"], word["start"], word["end"]) for word in (await answer.json())["words"]]


if __name__ == "__main__":
    sys.exit(main())
