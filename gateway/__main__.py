"""The command line: parses, calls, and turns what went wrong into one line and an exit code."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

from gateway import flags, remote
from gateway.client import arguments
from gateway.core.api_keys import KeyFileError
from gateway.embedded import checks, weights
from gateway.embedded.report import SetupError
from gateway.key_file import add_key
from gateway.settings import Settings, SettingsError
from gateway.watch import watch

_SETUP_FIELDS = ("model", "also", "cache_dir")
# `up` starts its own Triton; `serve` looks for those of others.
_ELSEWHERE_FIELDS = ("triton", "triton_metrics", "max_endpoints", "resolve_interval_s")
_EMBEDDED_FIELDS = (
    *("cache_dir", "device", "compute_type", "model_workers", "model_threads"),
    *("triton_ready_timeout_s", "triton_restart_min_s", "triton_restart_max_s"),
)
_KEY_FIELDS = ("api_keys", "max_api_keys")
_REMOTE_FIELDS = ("host", "port", "admin_key")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. 0: done; 1: something is missing or failed; 2: wrong usage; 130: interrupted."""
    parser = _parser()
    namespace = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace, Settings], int] = namespace.command
    try:
        return command(namespace, flags.from_args(namespace, os.environ))
    except SettingsError as error:
        say(str(error))
        return 2
    except (SetupError, remote.RefusedError, KeyFileError) as error:
        say(str(error))
        for line in getattr(error, "details", ()):
            print(f"    {line}", file=sys.stderr)
    except OSError as error:
        say(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    return 1


def say(text: str) -> None:
    """Tells the person at the terminal."""
    print(f"tritone: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tritone", description="A speech-to-text server: Whisper on Triton.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command, text, fields in (
        (
            "up",
            _up,
            "run everything: fetch what is missing, start Triton, start the gateway",
            _all_but(_ELSEWHERE_FIELDS),
        ),
        ("serve", _serve, "run the gateway alone, against any Triton (--triton HOST:PORT)", _all_but(_EMBEDDED_FIELDS)),
        ("fetch", _fetch, "fetch and verify weights, so that a later start needs no network", ("cache_dir",)),
        ("doctor", _doctor, "say what this machine lacks for `tritone up`, and how to get it", _SETUP_FIELDS),
        ("debug", _debug, "tell what lives in a running gateway, and what grows: for a leak", _REMOTE_FIELDS),
        ("keys", _keys, "make an API key: it is shown once, and its hash added to a file", _KEY_FIELDS),
        ("models", _models, "list, load, unload and reload the models of a running gateway", _REMOTE_FIELDS),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        flags.add_arguments(sub, fields)
        if name == "fetch":
            known = ", ".join(weights.PINNED)
            sub.add_argument("weights", nargs="+", metavar="MODEL", help=f"{known}, a Hugging Face id, or a folder")
        if name == "debug":
            sub.add_argument(
                "--trace-s", type=int, default=0, metavar="N", help="also what grows in N seconds, by line (up to 300)"
            )
        if name == "keys":
            sub.add_argument("action", choices=("new",))
            sub.add_argument("--name", help="what logs and limits call it; revoke a key by removing its line")
            sub.add_argument("--admin", action="store_true", help="may also change the service")
        if name == "models":
            sub.add_argument("action", choices=("list", "watch", *remote.ACTIONS))
            sub.add_argument("name", nargs="?", metavar="MODEL", help="all actions but list and watch need one")
    _add_client(commands)
    return parser


def _all_but(left_out: Sequence[str]) -> list[str]:
    return [field.name for field in dataclasses.fields(Settings) if field.name not in left_out]


def _add_client(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, command, text, add_flags in (
        ("transcribe", _transcribe, "transcribe a file by a running service", arguments.add_transcribe),
        ("stream", _stream, "transcribe live audio by a running service, while it is spoken", arguments.add_stream),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        add_flags(sub, os.environ)


def _up(_: argparse.Namespace, settings: Settings) -> int:
    checks.require_all(settings)
    from gateway.up import up  # noqa: PLC0415 - the checks and `doctor` must work where the server's packages do not

    return up(settings)


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    from gateway.up import serve  # noqa: PLC0415 - as above

    return serve(settings)


def _transcribe(namespace: argparse.Namespace, _: Settings) -> int:
    from gateway.client.commands import transcribe_file  # noqa: PLC0415 - as above

    return transcribe_file(namespace)


def _stream(namespace: argparse.Namespace, _: Settings) -> int:
    from gateway.client.commands import stream  # noqa: PLC0415 - as above

    return stream(namespace, say)


def _fetch(namespace: argparse.Namespace, settings: Settings) -> int:
    for model in namespace.weights:
        say(f"{model} is in {weights.fetch(model, settings.cache_dir, say)}")
    return 0


def _keys(namespace: argparse.Namespace, settings: Settings) -> int:
    if (path := settings.api_key_file) is None:
        raise SettingsError("--api-keys or TRITONE_API_KEYS: name the file that the key is added to")
    print(add_key(path, namespace.name, is_admin=namespace.admin, max_keys=settings.max_api_keys))
    say(f"{path} has its hash; the key itself is not shown again")
    return 0


def _models(namespace: argparse.Namespace, settings: Settings) -> int:
    gateway = remote.Gateway(settings.host, settings.port, settings.admin_key)
    if namespace.action == "list":
        for model in gateway.models():
            print(f"{model['id']:24} {model['state']}")
        return 0
    if namespace.action == "watch":
        return watch(gateway, sys.stdout)
    if not namespace.name:
        say(f"models {namespace.action} needs a MODEL")
        return 2
    status = gateway.model(namespace.action, namespace.name)
    for name, value in {**status, **status.pop("endpoints", {})}.items():
        print(f"{name:24} {'-' if value is None else value}")
    return 0


def _debug(namespace: argparse.Namespace, settings: Settings) -> int:
    gateway = remote.Gateway(settings.host, settings.port, settings.admin_key)
    for line in remote.memory_lines(gateway.memory(trace_s=namespace.trace_s)):
        print(line)
    return 0


def _doctor(_: argparse.Namespace, settings: Settings) -> int:
    found = list(checks.every_check(settings))
    for check in found:
        print(f"{'ok     ' if check.ok else 'MISSING'} {check}")
    print(f"        {checks.describe_triton(settings)}")
    return 0 if all(check.ok for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
