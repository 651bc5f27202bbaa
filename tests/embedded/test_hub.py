"""Weights from a Hub: the client's own code against a small server, with what it promises and what it delivers."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from gateway.embedded import hub, weights
from gateway.embedded.report import SetupError
from tests.embedded.hub_server import COMMIT, HubServer, hub_server

FILES = {
    "model.bin": b"weights" * 1000,
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "vocabulary.txt": b"a\n",
    "README.md": b"not wanted",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server("org/mini", FILES) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setenv("HF_TOKEN", "secret")
        yield running


def test_a_revision_tells_hash_and_size_of_what_is_wanted(server: HubServer) -> None:
    found = hub.look_up("org/mini")
    assert found.commit == COMMIT
    assert found.sha256 == {"model.bin": hashlib.sha256(FILES["model.bin"]).hexdigest()}
    assert found.size_bytes == {name: len(data) for name, data in FILES.items() if name != "README.md"}


def test_any_model_of_the_hub_is_fetched_verified_and_cached(
    server: HubServer, tmp_path: Path, said: list[str]
) -> None:
    folder = weights.fetch("org/mini", tmp_path, said.append)
    assert folder == tmp_path / "weights" / "org--mini"
    assert weights.served_id("org/mini") == "mini"
    assert sorted(path.name for path in folder.iterdir()) == sorted(["SHA256SUMS", *FILES.keys() - {"README.md"}])
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]
    server.files.clear()
    assert weights.fetch("org/mini", tmp_path, said.append) == folder


def test_bytes_that_are_not_the_promised_ones_are_refused(server: HubServer, tmp_path: Path, said: list[str]) -> None:
    server.files["model.bin"] = FILES["model.bin"][::-1]
    with pytest.raises(SetupError, match=r"model\.bin of org/mini arrived damaged"):
        weights.fetch("org/mini", tmp_path, said.append)
    assert not (tmp_path / "weights" / "org--mini").exists()
    server.files["model.bin"] = FILES["model.bin"]
    assert weights.fetch("org/mini", tmp_path, said.append).is_dir()


def test_a_pinned_hash_goes_before_what_the_hub_says(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    monkeypatch.setitem(weights.PINNED, "mini", weights.PinnedModel("org/mini", COMMIT, "0" * 64, 1))
    with pytest.raises(SetupError, match="not the ones expected"):
        weights.fetch("mini", tmp_path, said.append)


def test_a_model_the_hub_does_not_have_is_one_clear_line(server: HubServer, tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SetupError, match="the Hugging Face Hub has no public model org/other"):
        weights.fetch("org/other", tmp_path, said.append)


def test_a_hub_that_is_gone_is_out_of_reach(server: HubServer) -> None:
    server.server_close()
    with pytest.raises(hub.HubUnreachableError):
        hub.look_up("org/mini")


def test_a_broken_download_goes_on_where_it_broke_even_in_a_later_call(
    server: HubServer, tmp_path: Path, said: list[str]
) -> None:
    server.breaks_at_byte = 1000
    with pytest.raises(SetupError, match=r"out of reach \(model\.bin: it ended early\)"):
        weights.fetch("org/mini", tmp_path, said.append)
    server.breaks_at_byte = None
    server.ranges.clear()
    folder = weights.fetch("org/mini", tmp_path, said.append)
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]
    assert server.ranges == ["bytes=1000-"]


def test_files_of_two_commits_do_not_meet(server: HubServer, tmp_path: Path, said: list[str]) -> None:
    server.files["vocabulary.txt"] = b""  # the last of them does not come
    with pytest.raises(SetupError, match=r"vocabulary\.txt: it ended early"):
        weights.fetch("org/mini", tmp_path, said.append)
    server.commit = COMMIT[::-1]
    changed = {name: data[::-1] for name, data in FILES.items()}
    server.files.update(changed)
    server.promised.update(changed)
    folder = weights.fetch("org/mini", tmp_path, said.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES} == {
        name: data for name, data in changed.items() if name != "README.md"
    }
    assert not list((tmp_path / "downloads").glob("*.hub"))


def test_the_token_stays_with_the_hub(server: HubServer, tmp_path: Path, said: list[str]) -> None:
    weights.fetch("org/mini", tmp_path, said.append)
    assert set(server.tokens_at_storage) == {None}
