"""Where a live client's audio comes from: a file, standard input, or a microphone; all as 16 kHz mono pcm16."""

import asyncio
import os
import shutil
import stat
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from gateway.audio.decode import decode
from gateway.client.tape import BYTES_PER_S, PIECE_BYTES
from gateway.core.errors import TritoneError
from gateway.embedded.report import SetupError

_RECORDERS: Final = (
    ("arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1"),
    ("parec", "--raw", "--format=s16le", "--rate=16000", "--channels=1", "--latency-msec=50"),
    (
        *("ffmpeg", "-loglevel", "error", "-nostdin"),
        *(("-f", "avfoundation", "-i", ":default") if sys.platform == "darwin" else ("-f", "pulse", "-i", "default")),
        *("-f", "s16le", "-ar", "16000", "-ac", "1", "-"),
    ),
)
_NO_RECORDER: Final = (
    "no program that records: install arecord (package alsa-utils), parec (pulseaudio-utils) or ffmpeg"
)


async def file(path: Path) -> AsyncIterator[bytes]:
    """Everything that FFmpeg can decode. Raises SetupError."""
    with path.open("rb") as opened:
        try:
            for samples in decode(opened, max_audio_s=float("inf")):
                yield samples.tobytes()
        except TritoneError as error:
            raise SetupError(f"{path}: {error}") from None


def piped() -> BinaryIO:
    """The standard input. Raises SetupError where it is closed."""
    if sys.stdin is None:
        raise SetupError("there is no standard input: it is closed")
    return sys.stdin.buffer


async def standard_input() -> AsyncIterator[bytes]:
    """Raw samples, as a recorder writes them to a pipe. Raises SetupError."""
    pipe = piped()
    mode = os.fstat(pipe.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        # Nothing else lets its reader wait.
        while data := pipe.read(BYTES_PER_S):
            yield data
        return
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    while data := await reader.read(PIECE_BYTES):
        yield data


async def microphone() -> AsyncIterator[bytes]:
    """The system's default microphone, through the first recorder there is. Raises SetupError."""
    command = next((command for command in _RECORDERS if shutil.which(command[0])), None)
    if command is None:
        raise SetupError(_NO_RECORDER)
    # In a session of its own, so that Ctrl-C ends the recording here, after the last piece.
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        while data := await process.stdout.read(PIECE_BYTES):
            yield data
        raise SetupError(f"{command[0]} stopped recording and ended with {await process.wait()}")
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def in_real_time(audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, no sooner than it would have been spoken."""
    started_at_s = time.monotonic()
    given_bytes = 0
    async for data in audio:
        for at in range(0, len(data), PIECE_BYTES):
            piece = data[at : at + PIECE_BYTES]
            given_bytes += len(piece)
            await asyncio.sleep(started_at_s + given_bytes / BYTES_PER_S - time.monotonic())
            yield piece
