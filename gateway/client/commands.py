"""`tritone transcribe` and `tritone stream`: what is asked of the service, and the exit code."""

import argparse
import asyncio
import io
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from gateway.client import sources
from gateway.client.live import Live
from gateway.client.screen import Format, Screen
from gateway.client.service import Service
from gateway.client.upload import transcribe
from gateway.embedded.report import SetupError

INTERRUPTED: Final = 130
STANDARD: Final = "-"
MICROPHONE: Final = "mic"

Say = Callable[[str], None]


def transcribe_file(args: argparse.Namespace) -> int:
    """Prints the transcript of a file. Returns the exit code; raises RefusedError, SetupError and OSError."""
    fields = {name: getattr(args, name) for name in ("model", "language", "prompt") if getattr(args, name)}

    async def run(file: BinaryIO, out: TextIO) -> None:
        name = "audio" if args.file == STANDARD else _sendable(Path(args.file).name)
        async for text in transcribe(Service(args.url, args.api_key), file, name, fields, Format(args.format)):
            out.write(text)
            out.flush()

    with _input(args.file) as file, _output(args.output, args.file) as out:
        asyncio.run(run(file, out))
    return 0


def stream(args: argparse.Namespace, say: Say) -> int:
    """Prints what is said while it is said. 0: all of it; 1: not all; 130: a recording was interrupted."""
    with _output(args.output, args.source) as out:
        terminal = sys.stderr if sys.stderr.isatty() else None
        screen = Screen(Format(args.format), out, terminal, say)
        try:
            return asyncio.run(_stream(args, screen))
        finally:
            screen.clear()


async def _stream(args: argparse.Namespace, screen: Screen) -> int:
    options: dict[str, Any] = {"interim_results": sys.stderr.isatty()}
    names = ("model", "language", "prompt", "silence_ms")
    options |= {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    live = Live(Service(args.url, args.api_key), options, screen.tell)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
        live.stop()

    # The first signal ends the audio, and the last words still come; a second one ends everything.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    account = await live.run(_audio(args.source, in_real_time=args.pace == "real-time"))
    if account["failed"] or account["dropped_ms"]:
        return 1
    return INTERRUPTED if interrupted and args.source != MICROPHONE else 0


def _audio(source: str, *, in_real_time: bool) -> AsyncIterator[bytes]:
    if source == MICROPHONE:
        return sources.microphone()
    audio = sources.standard_input() if source == STANDARD else sources.file(Path(source))
    return sources.in_real_time(audio) if in_real_time else audio


def _sendable(name: str) -> str:
    """A file's name without what a form can't have: bytes that are no text, and line breaks."""
    return "".join(letter if letter.isprintable() else "_" for letter in name)


@contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    if path != STANDARD:
        with Path(path).open("rb") as file:
            yield file
        return
    # A pipe has no length and can't be sent again.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sources.piped(), copy)
        copy.seek(0)
        yield copy


@contextmanager
def _output(path: Path | None, source: str) -> Iterator[TextIO]:
    """Where the text goes. Raises SetupError where that would overwrite the audio, which is in the file `source`."""
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal need not know every letter
        yield sys.stdout
        return
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise SetupError(f"--output {path} is the audio itself")
    with path.open("a", encoding="utf-8") as file:
        out = _Afresh(file)
        yield out
        out.begin()


class _Afresh(io.TextIOBase, TextIO):
    """A file whose old content stays until there is a first text, or it is sure that there is none."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._begun = False

    def begin(self) -> None:
        if not self._begun and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)
        self._begun = True

    def write(self, text: str) -> int:
        self.begin()
        return self._file.write(text)

    def flush(self) -> None:
        self._file.flush()
