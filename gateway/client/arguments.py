"""The flags of the command-line client; the standard library alone, so that `--help` works everywhere."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_FORMATS: Final = ("text", "json", "srt", "vtt")


def add_transcribe(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Of `tritone transcribe`."""
    parser.add_argument("file", metavar="FILE", help="an audio file; - is standard input")
    _add_common(parser, environ)


def add_stream(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Of `tritone stream`."""
    source = "mic, an audio file, or - for raw 16 kHz mono 16-bit samples on standard input"
    parser.add_argument("source", metavar="FILE|mic|-", help=source)
    _add_common(parser, environ)
    pace = "send a file as it would be spoken, or as fast as the service takes it (default real-time)"
    parser.add_argument("--pace", choices=("real-time", "fast"), default="real-time", help=pace)
    parser.add_argument("--silence-ms", type=int, metavar="MS", help="silence that ends an utterance")


def _add_common(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    add = parser.add_argument
    url = environ.get("TRITONE_URL") or DEFAULT_URL
    add("--url", type=_url, default=url, help=f"the service (default {DEFAULT_URL}; TRITONE_URL)")
    add("--api-key", default=environ.get("TRITONE_API_KEY", ""), metavar="KEY", help="its key (TRITONE_API_KEY)")
    add("--format", choices=_FORMATS, default="text", help="how the text is written (default text)")
    add("--output", type=Path, metavar="PATH", help="where it is written (default: standard output)")
    add("--model", help="a served model (default: the service's own)")
    add("--language", metavar="CODE", help="what is spoken, as en or de (default: detected)")
    add("--prompt", metavar="TEXT", help="text that went before, or names to expect")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} (--url or TRITONE_URL) does not begin with http:// or https://")
    return text.rstrip("/")
