"""The file of API keys: read, read again when it changes, and added to."""

import os
import secrets
from pathlib import Path

from gateway.core.api_keys import ApiKey, KeyFileError, Keyring, key_named, parse_keys
from gateway.core.errors import Unauthorized

PREFIX = "trt_"
# A line has at most 140; comments have room besides.
_CHARS_PER_KEY = 512


class KeyFile:
    """The keys that count now, and whether callers need one."""

    def __init__(self, path: Path | None, *, admin_key: str, max_keys: int) -> None:
        """No `path` lets everybody in. `admin_key` is one more key. Raises KeyFileError."""
        self.path = path
        self._fixed = (key_named("admin-key", admin_key, is_admin=True),) if admin_key else ()
        self._max_keys = max_keys
        self._seen: tuple[int, ...] | None = None
        self._ring = Keyring(self._fixed)
        self.refresh()

    @property
    def required(self) -> bool:
        """Whether callers need a key."""
        return self.path is not None

    @property
    def guards_admin(self) -> bool:
        """Whether operators need a key; they always do where callers do."""
        return self.required or bool(self._fixed)

    def __len__(self) -> int:
        return len(self._ring.keys)

    def require(self, token: str) -> ApiKey:
        """The key that `token` is. Raises Unauthorized."""
        if key := self._ring.find(token):
            return key
        message = "This API key is not known." if token else "This needs an API key, as a bearer token."
        raise Unauthorized(message)

    def refresh(self) -> bool:
        """Reads the file if it has changed; whether it had. Raises KeyFileError, and the keys stay as they were."""
        if self.path is None:
            return False
        state = _state(self.path)
        if state == self._seen:
            return False
        self._seen = state
        try:
            with self.path.open() as file:
                text = file.read(self._max_keys * _CHARS_PER_KEY + 1)
            if len(text) > self._max_keys * _CHARS_PER_KEY:
                raise KeyFileError(f"too large for {self._max_keys} keys: raise --max-api-keys")
            keys = parse_keys(text, max_keys=self._max_keys)
        except OSError as error:
            self._seen = None  # it is tried again at the next look
            raise KeyFileError(f"{self.path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise KeyFileError(f"{self.path}: not a text") from None
        except KeyFileError as error:
            raise KeyFileError(f"{self.path}: {error}") from None
        self._ring = Keyring((*self._fixed, *keys))
        return True


def add_key(path: Path, name: str | None, *, is_admin: bool, max_keys: int) -> str:
    """Makes a key, adds its hash to the file, and returns it: it is nowhere else. Raises KeyFileError, OSError."""
    token = PREFIX + secrets.token_urlsafe(32)
    key = key_named(name or f"key-{secrets.token_hex(4)}", token, is_admin=is_admin)
    text = path.read_text() if path.exists() else ""
    line = f"{key}\n" if not text or text.endswith("\n") else f"\n{key}\n"
    parse_keys(text + line, max_keys=max_keys)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w") as file:
        file.write(line)
    return token


def _state(path: Path) -> tuple[int, ...]:
    """What changes when the file does, or goes."""
    try:
        stat = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    # The last of them changes also with the permissions.
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
