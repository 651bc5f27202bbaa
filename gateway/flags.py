"""Reads the settings from flags and TRITONE_* variables, once; a bad value names the flag or variable it came from."""

import argparse
import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway.settings import MIB, Settings, SettingsError, Value, listed

ENV_PREFIX = "TRITONE_"

_KINDS = {str: "text", int: "a whole number", float: "a number", Path: "a path"}
# The start of a session, its error, its account, and one message of the client's own.
_RESUMED_MESSAGES = 4
# Whoever gives an empty key has a variable that is not set.
_NEVER_EMPTY = ("api_keys", "admin_key")


def env_name(name: str) -> str:
    """The variable that sets field `name`."""
    return ENV_PREFIX + name.upper()


def flag_name(name: str) -> str:
    """The flag that sets field `name`."""
    return "--" + name.replace("_", "-")


def add_arguments(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Adds a flag for each field that is named; the values stay text until `from_args`."""
    wanted = set(names)
    for field in dataclasses.fields(Settings):
        if field.name in wanted:
            unit = field.metadata["unit"]
            default = f"{field.default:g}" if isinstance(field.default, float) else field.default
            notes = [
                *([unit] if unit and not isinstance(field.default, str) else []),
                *([] if default == "" else [f"default {default}"]),
                env_name(field.name),
            ]
            choices = field.metadata["choices"]
            parser.add_argument(
                flag_name(field.name),
                metavar="|".join(choices) or _metavar(field),
                help=f"{field.metadata['help']} ({'; '.join(notes)})".replace("%", "%%"),
            )


def from_args(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """The settings: a flag goes before its variable, the variable before the default. Raises SettingsError."""
    values: dict[str, Value] = {}
    for field in dataclasses.fields(Settings):
        given = getattr(args, field.name, None)
        source = flag_name(field.name)
        if given is None:
            given, source = environ.get(env_name(field.name)), env_name(field.name)
        if given is not None:
            values[field.name] = _parse(field, given, source)
    settings = Settings(**values)  # type: ignore[arg-type]  # _parse made each value of its field's type
    return _check(dataclasses.replace(settings, cache_dir=_cache_dir(values, environ)))


def _metavar(field: dataclasses.Field[Any]) -> str:
    if isinstance(field.default, str):
        return str(field.metadata["unit"] or "TEXT")
    return {int: "N", float: "X"}.get(type(field.default), "DIR")


def _parse(field: dataclasses.Field[Any], text: str, source: str) -> Value:
    kind: type[Any] = Path if isinstance(field.default, Path) else type(field.default)
    try:
        value: Value = kind(text)
    except ValueError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{source}: {text!r} is not {_KINDS[kind]}")
    low, high, choices = field.metadata["low"], field.metadata["high"], field.metadata["choices"]
    if choices and value not in choices:
        raise SettingsError(f"{source}: {text!r} is not one of {', '.join(choices)}")
    if isinstance(value, str) and not value and (field.default != "" or field.name in _NEVER_EMPTY):
        raise SettingsError(f"{source}: may not be empty")
    if isinstance(value, int | float) and low is not None and value < low:
        raise SettingsError(f"{source}: {text} is less than {low:g}")
    if isinstance(value, int | float) and high is not None and value > high:
        raise SettingsError(f"{source}: {text} is more than {high:g}")
    return value


def _cache_dir(values: Mapping[str, Value], environ: Mapping[str, str]) -> Path:
    given = values.get("cache_dir")
    if isinstance(given, Path):
        return given.expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME", "")
    return Path(base, "tritone") if base.startswith("/") else Path("~/.cache/tritone").expanduser()


def _check(settings: Settings) -> Settings:
    _check_addresses(settings)
    if listed(settings.model) != (settings.model,):
        raise SettingsError(f"--model or {env_name('model')}: one model; --also takes more")
    if settings.triton_restart_max_s < settings.triton_restart_min_s:
        raise SettingsError("--triton-restart-max-s: at least --triton-restart-min-s")
    if settings.outbox_messages < settings.session_replay + _RESUMED_MESSAGES:
        raise SettingsError(
            f"--outbox-messages: at least {_RESUMED_MESSAGES} more than --session-replay, which are told all at once"
        )
    if settings.max_upload_bytes > settings.max_uploads_mib * MIB:
        raise SettingsError("--max-uploads-mib: at least one file of --max-upload-bytes")
    if settings.max_posted_bytes > settings.max_live_audio_mib * MIB // 2:
        raise SettingsError("--max-posted-bytes: at most half of --max-live-audio-mib, in which it is held")
    for name in ("file_segmenter", "stream_segmenter"):
        try:
            getattr(settings, name)
        except ValueError as error:
            prefix = name.removesuffix("segmenter")
            raise SettingsError(
                f"--{prefix.replace('_', '-')}... or {ENV_PREFIX}{prefix.upper()}...: {error}"
            ) from None
    return settings


def _check_addresses(settings: Settings) -> None:
    tritons, pages = listed(settings.triton), listed(settings.triton_metrics)
    for name, addresses in (("triton", tritons), ("triton_metrics", pages)):
        for address in addresses:
            host, _, port = address.rpartition(":")
            is_host = host and "/" not in host and (":" not in host or (host[0], host[-1]) == ("[", "]"))
            if not (is_host and port.isdecimal() and 0 < int(port) < 65536):  # noqa: PLR2004 - the range of a port
                raise SettingsError(f"{flag_name(name)} or {env_name(name)}: {address!r} is not HOST:PORT")
    if len(pages) not in (0, len(tritons)):
        raise SettingsError(
            f"--triton-metrics or TRITONE_TRITON_METRICS: {len(pages)} addresses for {len(tritons)} of --triton"
        )
    try:
        _ = settings.origins
    except ValueError as error:
        raise SettingsError(
            f"--allow-origins or {ENV_PREFIX}ALLOW_ORIGINS: {str(error)!r} is not https://HOST[:PORT] or *"
        ) from None
