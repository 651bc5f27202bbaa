"""`python -m loadtests.lanes`: how long somebody who talks waits for the text, alone and beside an hour-long upload."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from loadtests.corpus import FIXTURES, Clip, join, load_corpus, samples_of
from loadtests.errors import BenchError, ending
from loadtests.rows import percentile
from loadtests.service import started
from loadtests.storm import connected

_HOUR_S: Final = 3600.0


async def measured(clips: Sequence[Clip], hour: Path, args: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Seconds from the end of each utterance to its text: alone, and beside the hour."""
    audio = [samples_of(clip.path).tobytes() for clip in clips]
    async with started(args.model) as service, connected(service.url) as http:
        await _talk(http, audio, args.utterances)
        alone_s = await _talk(http, audio, args.utterances)
        form = aiohttp.FormData({"model": "whisper-1"})
        with hour.open("rb") as file:
            form.add_field("file", file, filename="hour.wav")
            upload = asyncio.create_task(_posted(http, form))
            try:
                while await _long_in_flight(http) < 1 and not upload.done():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
                beside_s = await _talk(http, audio, args.utterances)
                if upload.done():
                    raise BenchError("the hour was over before the measurement was: talk less")
            finally:
                upload.cancel()
                await asyncio.wait([upload])
    return alone_s, beside_s


async def _posted(http: aiohttp.ClientSession, form: aiohttp.FormData) -> None:
    async with http.post("/v1/audio/transcriptions", data=form) as answer:
        await answer.read()


async def _long_in_flight(http: aiohttp.ClientSession) -> float:
    async with http.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("tritone_utterances_in_flight "))


async def _talk(http: aiohttp.ClientSession, audio: Sequence[bytes], count: int) -> list[float]:
    latencies_s = []
    async with http.ws_connect("/v1/stream?language=en&silence_ms=2000") as socket:
        for number in range(count):
            await socket.send_bytes(audio[number % len(audio)])
            ended_at_s = time.monotonic()
            await socket.send_json({"type": "finalize"})
            while (await socket.receive_json())["type"] != "final":
                pass
            latencies_s.append(time.monotonic() - ended_at_s)
    return latencies_s


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.lanes", description=__doc__)
    parser.add_argument("--audio", type=Path, default=FIXTURES, metavar="DIR", help="recordings with transcripts.txt")
    parser.add_argument("--model", default="tiny.en", help="weights (default tiny.en)")
    parser.add_argument("--utterances", type=int, default=40, help="how many are said (default 40)")
    args = parser.parse_args(arguments)
    with ending("lanes"):
        clips = load_corpus(args.audio)
        with tempfile.TemporaryDirectory(prefix="tritone-bench-") as folder:
            hour = join(clips, Path(folder, "hour.wav"), at_least_s=_HOUR_S)
            alone_s, beside_s = asyncio.run(measured(clips, hour.path, args))
    for name, found_s in (("alone", alone_s), ("beside an hour", beside_s)):
        print(f"{name:15} p50 {percentile(found_s, 50) * 1000:.0f} ms, p95 {percentile(found_s, 95) * 1000:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
