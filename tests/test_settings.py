import argparse
import dataclasses
from pathlib import Path

import pytest

from gateway.flags import add_arguments, env_name, flag_name, from_args
from gateway.settings import Settings, SettingsError

EVERY = [field.name for field in dataclasses.fields(Settings)]


def parsed(*flags: str, **environ: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser, EVERY)
    return from_args(parser.parse_args(flags), environ)


def test_a_flag_goes_before_its_variable_and_that_before_the_default() -> None:
    assert parsed().port == 8080
    assert parsed(TRITONE_PORT="9000").port == 9000
    assert parsed("--port", "9001", TRITONE_PORT="9000").port == 9001


def test_the_help_names_every_setting_with_default_unit_and_variable() -> None:
    parser = argparse.ArgumentParser(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=1000))
    add_arguments(parser, EVERY)
    text = parser.format_help()
    for field in dataclasses.fields(Settings):
        assert flag_name(field.name) in text
        assert env_name(field.name) in text
        assert field.metadata["help"].replace("%%", "%") in text
        for suffix, unit in (("_s", "seconds"), ("_ms", "ms"), ("_bytes", "bytes"), ("_per_s", "bytes a second")):
            if field.name.endswith(suffix) and not (suffix == "_s" and field.name.endswith("_per_s")):
                assert field.metadata["unit"] == unit, field.name


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (("--port", "eighty"), {}, "--port: 'eighty' is not a whole number"),
        (("--port", "8080.5"), {}, "--port: '8080.5' is not a whole number"),
        ((), {"TRITONE_PORT": "70000"}, "TRITONE_PORT: 70000 is more than 65535"),
        ((), {"TRITONE_PERMITS": "0"}, "TRITONE_PERMITS: 0 is less than 1"),
        ((), {"TRITONE_MAX_AUDIO_S": "nan"}, "TRITONE_MAX_AUDIO_S: 'nan' is not a number"),
        (("--max-audio-s", "inf"), {}, "--max-audio-s: 'inf' is not a number"),
        ((), {"TRITONE_LOG_FORMAT": "xml"}, "TRITONE_LOG_FORMAT: 'xml' is not one of auto, json, console"),
        (("--model", ""), {}, "--model: may not be empty"),
        (("--model", "a,b"), {}, "--model or TRITONE_MODEL: one model; --also takes more"),
        ((), {"TRITONE_MODEL": ","}, "--model or TRITONE_MODEL: one model"),
        (("--triton-restart-max-s", "0.1"), {}, "--triton-restart-max-s: at least --triton-restart-min-s"),
        (("--triton", "localhost"), {}, "--triton or TRITONE_TRITON: 'localhost' is not HOST:PORT"),
        (("--triton-metrics", "here:0"), {}, "--triton-metrics or TRITONE_TRITON_METRICS: 'here:0' is not HOST:PORT"),
        (("--triton", "a:1,b"), {}, "--triton or TRITONE_TRITON: 'b' is not HOST:PORT"),
        (("--triton", "http://a:1"), {}, "--triton or TRITONE_TRITON: 'http://a:1' is not HOST:PORT"),
        (("--triton", "::1:1"), {}, "--triton or TRITONE_TRITON: '::1:1' is not HOST:PORT"),
        ((), {"TRITONE_API_KEYS": ""}, "TRITONE_API_KEYS: may not be empty"),
        (
            ("--triton", "a:1,b:1", "--triton-metrics", "a:2"),
            {},
            "--triton-metrics or TRITONE_TRITON_METRICS: 1 addresses for 2 of --triton",
        ),
        (("--allow-origins", "shop.example"), {}, "--allow-origins or TRITONE_ALLOW_ORIGINS: 'shop.example' is not"),
        (("--outbox-messages", "35"), {}, "--outbox-messages: at least 4 more than --session-replay"),
        (("--max-uploads-mib", "149"), {}, "--max-uploads-mib: at least one file"),
        (("--max-live-audio-mib", "31"), {}, "--max-posted-bytes: at most half of --max-live-audio-mib"),
        (("--file-stop-score", "0.9"), {}, "--file-... or TRITONE_FILE_...: start_score and stop_score"),
    ],
)
def test_a_bad_value_names_itself(flags: tuple[str, ...], environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(*flags, **environ)
    assert str(caught.value).startswith(message)


def test_one_file_leaves_a_permit_to_others() -> None:
    assert parsed().fan_out == 12
    assert [parsed("--permits", str(permits)).fan_out for permits in (1, 2, 8)] == [1, 1, 7]


def test_the_models_are_named_once_each_with_the_default_first() -> None:
    assert parsed().models == ("base",)
    assert parsed("--model", "small", "--also", " tiny.en, base,,small").models == ("small", "tiny.en", "base")


def test_what_is_empty_by_default_may_be_empty() -> None:
    assert parsed(TRITONE_ALSO="", TRITONE_ALLOW_ORIGINS="", TRITONE_TRITON_METRICS="") == parsed()


def test_the_cache_is_where_the_desktop_says() -> None:
    assert parsed(XDG_CACHE_HOME="/var/cache").cache_dir == Path("/var/cache/tritone")
    assert parsed(XDG_CACHE_HOME="/var/cache", TRITONE_CACHE_DIR="/data").cache_dir == Path("/data")
    assert parsed(XDG_CACHE_HOME="").cache_dir == Path("~/.cache/tritone").expanduser()


def test_only_some_flags_may_be_offered() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, ["model"])
    assert from_args(parser.parse_args(["--model", "small"]), {"TRITONE_PORT": "1"}).port == 1
    with pytest.raises(SystemExit):
        parser.parse_args(["--port", "1"])


def test_the_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        parsed().port = 1  # type: ignore[misc]  # that it can't be assigned is the point
