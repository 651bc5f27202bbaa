import asyncio
import errno
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.core.api_keys import KeyFileError
from gateway.core.errors import Unauthorized
from gateway.key_file import KeyFile, add_key
from gateway.key_watch import watch
from gateway.telemetry import Telemetry
from tests.serving import eventually


def opened(path: Path | None, *, admin_key: str = "", max_keys: int = 10) -> KeyFile:
    return KeyFile(path, admin_key=admin_key, max_keys=max_keys)


def test_a_key_that_was_made_is_let_in_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    user = add_key(path, "shop", is_admin=False, max_keys=10)
    admin = add_key(path, None, is_admin=True, max_keys=10)
    keys = opened(path)
    assert (keys.require(user).name, keys.require(user).is_admin) == ("shop", False)
    assert keys.require(admin).is_admin
    assert len(keys) == 2
    assert len(user) > 40
    text = path.read_text()
    assert user not in text
    assert admin not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for other in ("", "trt_", user[:-1]):
        with pytest.raises(Unauthorized):
            keys.require(other)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# no line end")
    add_key(path, "shop", is_admin=False, max_keys=10)
    before = path.read_text()
    with pytest.raises(KeyFileError, match="shop is there twice"):
        add_key(path, "shop", is_admin=True, max_keys=10)
    with pytest.raises(KeyFileError, match="more than 1 keys"):
        add_key(path, "other", is_admin=True, max_keys=1)
    assert path.read_text() == before


def test_without_a_file_nobody_needs_a_key_and_an_operator_may() -> None:
    assert not opened(None).guards_admin
    keys = opened(None, admin_key="secret")
    assert (keys.required, keys.guards_admin) == (False, True)
    assert keys.require("secret").is_admin


@pytest.mark.parametrize("content", [None, b"nonsense", b"\xff\xfe", b"#" * 10_000])
def test_a_file_that_can_not_be_used_is_named_at_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyFileError, match=str(path)):
        opened(path)


async def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, telemetry = tmp_path / "keys", Telemetry()
    first = add_key(path, "first", is_admin=False, max_keys=10)
    keys = opened(path, admin_key="secret")

    def counted(outcome: str) -> float:
        return telemetry.registry.get_sample_value("tritone_api_key_files_total", {"outcome": outcome}) or 0

    watching = asyncio.create_task(watch(keys, telemetry, interval_s=0.01))
    second = add_key(path, "second", is_admin=False, max_keys=10)
    await eventually(lambda: len(keys) == 3)
    assert keys.require(second).name == "second"
    path.write_text("nonsense")
    await eventually(lambda: counted("refused") == 1)
    path.unlink()
    await eventually(lambda: counted("refused") == 2)
    assert keys.require(first).name == "first"
    fresh = tmp_path / "fresh"
    only = add_key(fresh, "only", is_admin=False, max_keys=10)
    fresh.replace(path)
    await eventually(lambda: counted("ok") == 2)
    assert keys.require(only).name == "only"
    assert keys.require("secret").is_admin
    with pytest.raises(Unauthorized):
        keys.require(first)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert first not in caplog.text


def test_a_file_that_may_be_read_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    add_key(path, "shop", is_admin=False, max_keys=10)
    keys = opened(path)
    assert not keys.refresh()
    path.chmod(0o640)
    assert keys.refresh()


def test_a_file_that_could_not_be_read_is_read_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    user = add_key(path, "shop", is_admin=False, max_keys=10)
    keys = opened(path)
    path.write_text("")

    def refuse(self: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched, pytest.raises(KeyFileError):
        patched.setattr(Path, "open", refuse)
        keys.refresh()
    assert keys.refresh()
    with pytest.raises(Unauthorized):
        keys.require(user)
