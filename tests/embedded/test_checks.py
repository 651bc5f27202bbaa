"""Every requirement that can be missing says in one line how to get it."""

import dataclasses
from pathlib import Path

import pytest

from gateway.embedded import checks
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (checks.check_python((3, 13)), "use Python 3.11 or 3.12"),
        (checks.check_platform("Linux", "aarch64", ("glibc", "2.36")), "x86-64"),
        (checks.check_platform("Linux", "x86_64", ("glibc", "2.31")), "glibc 2.35"),
        (checks.check_platform("Linux", "x86_64", ("", "")), "glibc 2.35"),
        (checks.check_platform("Darwin", "arm64", ("", "")), "tritone serve --triton"),
        (checks.check_numpy("2.3.0"), "numpy 1.26"),
        (checks.check_numpy(""), "numpy 1.26"),
        (checks.check_packages(["ctranslate2", "faster_whisper"]), "pip install ctranslate2 faster-whisper"),
        (checks.check_libpython(""), "apt-get install libpython3."),
        (checks.check_shared_memory(Path("/nowhere")), "mount a tmpfs"),
        (checks.check_disk(Path("/"), 1 << 60), "--cache-dir"),
        (checks.check_disk(Path("/proc/cache"), 0), "--cache-dir"),
        (checks.check_device("cuda", "auto", frozenset()), "--device"),
        (checks.check_device("cpu", "foo", frozenset({"int8"})), "--compute-type"),
        (checks.check_disk(Path("/dev/null/cache"), 0), "--cache-dir"),
    ],
)
def test_what_is_missing_comes_with_a_remedy(check: checks.Check, words: str) -> None:
    assert not check.ok
    assert words in str(check)
    assert "\n" not in str(check)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_python((3, 11)),
        checks.check_python((3, 12)),
        checks.check_platform("Linux", "x86_64", ("glibc", "2.35")),
        checks.check_numpy("1.26.4"),
        checks.check_packages([]),
        checks.check_libpython("/usr/lib"),
        checks.check_disk(Path("/"), 0),
        checks.check_device("cpu", "int8", checks._compute_types("cpu")),
    ],
)
def test_what_is_there_needs_no_remedy(check: checks.Check) -> None:
    assert check.ok


def test_the_machine_that_runs_the_tests_meets_every_requirement(settings: Settings) -> None:
    assert [str(check) for check in checks.every_check(settings) if not check.ok] == []


@pytest.mark.parametrize("model", ["nonsense", "/no/such/folder", "a b/c"])
def test_a_model_that_can_not_be_is_named(settings: Settings, model: str) -> None:
    found = list(checks.every_check(dataclasses.replace(settings, also=model)))
    (check,) = [check for check in found if not check.ok]
    assert model in str(check)


def test_an_empty_cache_needs_room_for_triton_and_the_weights(settings: Settings, tmp_path: Path) -> None:
    empty = dataclasses.replace(settings, cache_dir=tmp_path)
    assert checks.missing_bytes(empty) > 250 << 20
    both = dataclasses.replace(empty, also="large-v3-turbo")
    assert checks.missing_bytes(both) > checks.missing_bytes(empty) + (1500 << 20)
