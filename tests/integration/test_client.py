"""`tritone transcribe` and `tritone stream` as processes of their own, against the whole of it."""

import asyncio
import json
import os
import pty
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from gateway.core.audio import SAMPLE_RATE_HZ
from tests.chaos.proxy import proxy_to
from tests.fixtures.audio_files import TRANSCRIPTS, joined, speech, speech_file
from tests.integration.conftest import Server

PATIENCE_S = 60
NORMALIZED = EnglishTextNormalizer()
LETTER = str(speech_file("letter"))


def is_said(text: str, *names: str) -> bool:
    said = " ".join(TRANSCRIPTS[name] for name in names)
    return float(jiwer.wer(NORMALIZED(said), NORMALIZED(text))) <= 0.1


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *arguments]


def tritone(server: Server, *arguments: str, given: bytes | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"TRITONE_URL": server.url}
    done = subprocess.run(
        command(*arguments), input=given, capture_output=True, timeout=PATIENCE_S, env=environment, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("arguments", [("transcribe", LETTER), ("stream", LETTER, "--pace", "fast")])
def test_a_file_becomes_text_and_subtitles(server: Server, arguments: tuple[str, ...], tmp_path: Path) -> None:
    text = tritone(server, *arguments)
    assert (text.returncode, text.stderr) == (0, "")
    assert is_said(text.stdout, "letter")
    srt = tritone(server, *arguments, "--format", "srt").stdout.splitlines()
    assert srt[0] == "1"
    assert " --> 00:00:0" in srt[1]
    path = tmp_path / "letter.vtt"
    assert tritone(server, *arguments, "--format", "vtt", "--output", str(path)).stdout == ""
    assert path.read_text().startswith("WEBVTT\n\n00:00:0")
    answer = json.loads(tritone(server, *arguments, "--format", "json").stdout)
    assert is_said(answer["text"], "letter")
    assert answer["segments"]


def test_standard_input_is_a_file_to_one_and_raw_samples_to_the_other(server: Server) -> None:
    file = tritone(server, "transcribe", "-", given=speech_file("letter").read_bytes())
    assert is_said(file.stdout, "letter")
    live = tritone(server, "stream", "-", "--pace", "fast", given=joined(1.0, "letter", "market").tobytes())
    first, second = live.stdout.splitlines()
    assert is_said(first, "letter")
    assert is_said(second, "market")


def test_a_file_that_is_sent_faster_than_it_is_heard_is_heard_whole(server: Server) -> None:
    names = sorted(TRANSCRIPTS) * 2
    done = tritone(server, "stream", "-", "--pace", "fast", given=joined(1.0, *names).tobytes())
    assert done.returncode == 0
    assert is_said(done.stdout, *names)


@pytest.mark.parametrize("command", ["transcribe", "stream"])
@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("README.md",), 1, "The file is in no supported format"),
        (("nowhere.flac",), 1, "tritone: nowhere.flac: No such file or directory"),
        ((LETTER, "--language", "xx"), 1, "The language must be"),
        ((LETTER, "--model", "nonsense"), 1, "tritone: There is no such model."),
        ((LETTER, "--url", "http://127.0.0.1:1"), 1, "tritone: http://127.0.0.1:1 does not answer"),
        ((LETTER, "--url", "127.0.0.1"), 2, "does not begin with http://"),
    ],
)
def test_what_can_not_work_is_said(
    server: Server, command: str, arguments: tuple[str, ...], code: int, line: str
) -> None:
    done = tritone(server, command, *arguments)
    assert done.returncode == code
    assert line in done.stderr.splitlines()[-1]


def test_on_a_terminal_partials_come_before_the_final(server: Server) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("stream", LETTER, "--url", server.url), stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        drawn = b""
        with suppress(OSError):  # the end of a terminal
            while data := os.read(ours, 4096):
                drawn += data
        os.close(ours)
        assert process.stdout is not None
        text = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    partials = drawn.decode().split("\r\x1b[K")
    assert len([partial for partial in partials if partial]) >= 2
    assert is_said(text, "letter")


async def test_a_connection_that_breaks_loses_no_words(server: Server) -> None:
    audio = joined(1.0, "doctor", "river").tobytes()
    async with proxy_to(urlsplit(server.url).netloc) as proxy:
        arguments = ("stream", "-", "--format", "json", "--url", f"http://{proxy.address}")
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(audio)
        process.stdin.write_eof()
        first = await process.stdout.readline()
        proxy.reset()
        rest = await process.stdout.read()
        assert await process.wait() == 0
    finals = [json.loads(line) for line in (first + rest).splitlines()]
    assert [final["utterance"] for final in finals] == list(range(len(finals)))
    assert is_said(" ".join(final["text"] for final in finals), "doctor", "river")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_audio_and_the_last_words_still_come(server: Server, number: signal.Signals) -> None:
    arguments = ("stream", "-", "--pace", "fast", "--format", "json", "--url", server.url)
    with subprocess.Popen(command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(joined(1.0, "letter").tobytes() + speech("market").tobytes())
        process.stdin.flush()
        # Once the first is told the second is on its way, and open: nothing is silent behind it.
        finals = [process.stdout.readline()]
        process.send_signal(number)
        finals += process.stdout.read().splitlines()
        assert process.wait(PATIENCE_S) == 130
    assert is_said(" ".join(json.loads(final)["text"] for final in finals), "letter", "market")


def recorder(folder: Path, audio: bytes) -> dict[str, str]:
    """An environment whose only recorder plays `audio` and goes on recording nothing."""
    (folder / "audio.raw").write_bytes(audio)
    program = folder / "arecord"
    program.write_text(f"#!/bin/sh\n/bin/cat {folder}/audio.raw\nexec /bin/sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return os.environ | {"PATH": str(folder)}


def test_a_microphone_is_heard_until_ctrl_c(server: Server, tmp_path: Path) -> None:
    environment = recorder(tmp_path, joined(1.0, "letter").tobytes())
    arguments = command("stream", "mic", "--url", server.url)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert is_said(first + process.stdout.read(), "letter")


def test_without_a_recorder_it_says_what_to_install(server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        command("stream", "mic", "--url", server.url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | {"PATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert "install arecord (package alsa-utils)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_recorder_that_stops_is_named(server: Server, tmp_path: Path) -> None:
    environment = recorder(tmp_path, bytes(SAMPLE_RATE_HZ))
    (tmp_path / "arecord").write_text("#!/bin/sh\nexit 3\n")
    done = subprocess.run(
        command("stream", "mic", "--url", server.url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "tritone: arecord stopped recording and ended with 3\n"
