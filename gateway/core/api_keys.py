"""API keys: how a file keeps them, and which of them a caller's token is."""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROLES = {"user": False, "admin": True}


class KeyFileError(Exception):
    """A file of keys that can't be used; the message is for whoever wrote it, and has no key in it."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key at rest. Its SHA-256 is enough: a key is 256 random bits, of which nothing can be guessed."""

    name: str
    is_admin: bool
    digest: str

    def __str__(self) -> str:
        """Its line in a file of keys."""
        return f"{self.name} {'admin' if self.is_admin else 'user'} {self.digest}"


class Keyring:
    """The keys that count."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self.keys = tuple(keys)

    def find(self, token: str) -> ApiKey | None:
        """The key that `token` is. Takes as long for every token."""
        given, found = digest_of(token), None
        for key in self.keys:
            if hmac.compare_digest(key.digest, given):
                found = key
        return found


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def key_named(name: str, token: str, *, is_admin: bool) -> ApiKey:
    """The key that `token` will be. Raises KeyFileError for a name that can't stand in a file or a log line."""
    if not _NAME.fullmatch(name):
        raise KeyFileError(f"the name {name!r} is not 1 to 64 letters, digits or _.@-")
    return ApiKey(name, is_admin, digest_of(token))


def parse_keys(text: str, *, max_keys: int) -> tuple[ApiKey, ...]:
    """The keys of a file: `NAME user|admin SHA-256` a line; a # begins a comment. Raises KeyFileError."""
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.partition("#")[0].split():
            key = _parse_line(words, number)
            if key.name in keys:
                raise KeyFileError(f"line {number}: the name {key.name} is there twice")
            keys[key.name] = key
        if len(keys) > max_keys:
            raise KeyFileError(f"more than {max_keys} keys: raise --max-api-keys")
    return tuple(keys.values())


def _parse_line(words: list[str], number: int) -> ApiKey:
    match words:
        case [name, role, digest] if _NAME.fullmatch(name) and role in _ROLES and _DIGEST.fullmatch(digest):
            return ApiKey(name, _ROLES[role], digest)
    raise KeyFileError(f"line {number} is not NAME user|admin SHA-256")
