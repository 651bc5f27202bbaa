"""Models on the Hugging Face Hub: what a revision holds, with hashes, and its download."""

import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from gateway.embedded.report import Say, SetupError

WANTED: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")

_PATIENCE_S: Final = 5.0
_MIB: Final = 1024 * 1024
_NOT_FOUND: Final = (401, 403, 404)
_STALL_S: Final = 30.0
_TRIES: Final = 3
_PAUSE_S: Final = 0.5


class HubUnreachableError(Exception):
    """No answer from the Hub; the message says in a few words why."""


class _TokenStaysAtHome(urllib.request.HTTPRedirectHandler):
    """The Hub sends small files by a second address of its own, which wants the token as well."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if request and token and (request.type, request.host) == (req.type, req.host):
            request.add_unredirected_header("Authorization", token)
        return request


_OPENER = urllib.request.build_opener(_TokenStaysAtHome)


@dataclass(frozen=True, slots=True)
class HubRevision:
    """One commit of a model repository: the sizes of the wanted files, and SHA-256 of those the Hub has it for."""

    repository: str
    commit: str
    size_bytes: dict[str, int]
    sha256: dict[str, str]

    def path_of(self, file: str) -> str:
        """Where its bytes are, below the Hub's address."""
        return f"{self.repository}/resolve/{self.commit}/{file}"


def look_up(repository: str, revision: str = "main") -> HubRevision:
    """What the Hub holds. Raises HubUnreachableError within seconds, SetupError when the Hub has no such model."""
    request = _request(f"api/models/{repository}/revision/{revision}?blobs=true")
    try:
        with _OPENER.open(request, timeout=_PATIENCE_S) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in _NOT_FOUND:
            raise SetupError(f"the Hugging Face Hub has no public model {repository}") from None
        raise HubUnreachableError(f"it answered {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise HubUnreachableError(str(getattr(error, "reason", error))) from None
    wanted = [file for file in found["siblings"] if any(Path(file["rfilename"]).match(name) for name in WANTED)]
    files = {file["rfilename"]: file for file in wanted if "/" not in file["rfilename"]}
    return HubRevision(
        repository,
        found["sha"],
        {name: file["size"] for name, file in files.items()},
        {name: file["lfs"]["sha256"] for name, file in files.items() if file.get("lfs")},
    )


def download(revision: HubRevision, folder: Path, say: Say) -> None:
    """Downloads the wanted files into `folder`; a later call goes on where this one broke. Raises HubUnreachableError.

    The Hub's own client starts a file anew in each process, which is hard on a line that breaks in the last of 1.5 GiB.
    """
    total_mib = sum(revision.size_bytes.values()) // _MIB
    say(f"downloading {revision.repository} ({total_mib} MiB) from the Hugging Face Hub")
    folder.mkdir(parents=True, exist_ok=True)
    for file, size_bytes in revision.size_bytes.items():
        target = folder / file
        if target.is_file():
            continue
        partial = folder / f"{file}.part"
        reason = "it ended early"
        for attempt in range(_TRIES):
            time.sleep(attempt * _PAUSE_S)
            try:
                _continue_file(revision.path_of(file), partial, size_bytes)
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", error))
            if partial.is_file() and partial.stat().st_size == size_bytes:
                partial.rename(target)
                break
        else:
            raise HubUnreachableError(f"{file}: {reason}")


def _continue_file(path: str, partial: Path, size_bytes: int) -> None:
    """Appends what is missing, or starts anew where the server can't send a part."""
    from tqdm import tqdm  # noqa: PLC0415 - `tritone doctor` runs where packages are missing

    have_bytes = partial.stat().st_size if partial.is_file() else 0
    request = _request(path)
    if 0 < have_bytes < size_bytes:
        request.add_header("Range", f"bytes={have_bytes}-")
    with _OPENER.open(request, timeout=_STALL_S) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        bar = tqdm(
            desc=partial.stem,
            total=size_bytes,
            initial=have_bytes if resumed else 0,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=not sys.stderr.isatty(),
        )
        with partial.open("ab" if resumed else "wb") as file, bar:
            while data := answer.read(_MIB):
                bar.update(file.write(data))


def _request(path: str) -> urllib.request.Request:
    # Its import takes a third of a second, which a start with cached weights need not spend.
    from huggingface_hub import constants, get_token  # noqa: PLC0415

    if constants.HF_HUB_OFFLINE:
        raise HubUnreachableError("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(f"{constants.ENDPOINT}/{path}")  # noqa: S310 - the user's own endpoint
    if token := get_token():
        # The token is for the Hub, not for the storage it points to.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request
