"""What a session's context is worth: word errors of long speech with and without the text and audio before it."""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from gateway.embedded import weights
from loadtests.accuracy import is_looped, normalizer_for, word_error_rate
from loadtests.conversation import Script, scripts
from loadtests.corpus import Clip, load_corpus
from loadtests.errors import ending
from loadtests.service import Service, started
from loadtests.speaker import speak

# As people talk, and as an impatient client cuts: in the middle of sentences.
_CUTS: Final = ({"silence_ms": "500"}, {"silence_ms": "300", "max_utterance_ms": "5000"})
_TEXT: Final = ("false", "true")
_AUDIO_MS: Final = ("0", "1000", "2000")
_SPEAKERS: Final = 4
# Faster than it can be decoded: what is measured is the text, and the service slows its clients down by itself.
_SPEED: Final = 100.0
_PAUSE_S: Final = 0.7


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each combination. 0: measured; 1: it could not be."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.context", description=__doc__)
    parser.add_argument("--audio", type=Path, required=True, metavar="DIR", help="a text read aloud, clip by clip")
    parser.add_argument("--model", nargs="+", default=["tiny.en", "base"], help="weights (default tiny.en base)")
    args = parser.parse_args(arguments)
    with ending("context"):
        asyncio.run(_measure(args.model, _talks(load_corpus(args.audio))))
    return 0


def _talks(corpus: Sequence[Clip]) -> list[Script]:
    """The corpus in its order, divided among the speakers."""
    share = -(-len(corpus) // _SPEAKERS)
    parts = [corpus[at : at + share] for at in range(0, len(corpus), share)]
    return [
        script for part in parts for script in scripts(part, speakers=1, at_least_s=_length_s(part), pause_s=_PAUSE_S)
    ]


def _length_s(part: Sequence[Clip]) -> float:
    """Reached within the last clip, so that none is said twice."""
    return sum(clip.duration_s + _PAUSE_S for clip in part) - _PAUSE_S


async def _measure(models: Sequence[str], talks: Sequence[Script]) -> None:
    print("| model | silence, longest | text | audio ms | WER % | loops | finals | processor s |")
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for model in models:
        async with started(model) as service, aiohttp.ClientSession() as http:
            for cuts, text, audio_ms in itertools.product(_CUTS, _TEXT, _AUDIO_MS):
                context = {"text_context": text, "audio_context_ms": audio_ms}
                query = {"model": weights.served_id(model), **cuts, **context}
                cells = [model, ", ".join(cuts.values()), text, audio_ms, *await _figures(http, service, talks, query)]
                print(f"| {' | '.join(cells)} |", flush=True)


async def _figures(
    http: aiohttp.ClientSession, service: Service, talks: Sequence[Script], query: Mapping[str, str]
) -> list[str]:
    assert service.tree is not None
    cpu_before_s = service.tree.cpu_s()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(speak(http, service.url, talk, query, speed=_SPEED)) for talk in talks]
    cpu_s = service.tree.cpu_s() - cpu_before_s
    normalize = normalizer_for("en")
    references = [normalize(talk.reference) for talk in talks]
    texts = [normalize(task.result().text) for task in tasks]
    wer_percent = word_error_rate(references, texts)
    loops = sum(map(is_looped, references, texts))
    finals = sum(len(task.result().of("final")) for task in tasks)
    return [f"{wer_percent:.2f}", str(loops), str(finals), f"{cpu_s:.1f}"]


if __name__ == "__main__":
    sys.exit(main())
