"""Models on the Hugging Face Hub: what a revision holds, with hashes, and its download."""

import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded.download import last_line, run_child
from gateway.embedded.report import Say, SetupError

WANTED: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")

_PATIENCE_S: Final = 5.0
_MIB: Final = 1024 * 1024
_NOT_FOUND: Final = (401, 403, 404)
# In a child process: the client's threads and memory end with it, and its message is one line.
_DOWNLOAD: Final = """
import json, sys
from huggingface_hub import snapshot_download
sys.excepthook = lambda kind, error, _: print(f"{kind.__name__}: {error}", file=sys.stderr)
snapshot_download(**json.loads(sys.argv[1]))
"""


class HubUnreachable(Exception):
    """No answer from the Hub; the message says in a few words why."""


@dataclass(frozen=True, slots=True)
class HubRevision:
    """One commit of a model repository; `sha256` by file name, for the files the Hub has a hash of."""

    repository: str
    commit: str
    sha256: dict[str, str]
    size_bytes: int


def look_up(repository: str, revision: str = "main") -> HubRevision:
    """What the Hub holds. Raises HubUnreachable within seconds, SetupError when the Hub has no such model."""
    from huggingface_hub import constants, get_token  # noqa: PLC0415 - half a second that a cached start need not spend

    if constants.HF_HUB_OFFLINE:
        raise HubUnreachable("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(  # noqa: S310 - the endpoint is the user's own setting
        f"{constants.ENDPOINT}/api/models/{repository}/revision/{revision}?blobs=true"
    )
    if token := get_token():
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310 - as above
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in _NOT_FOUND:
            raise SetupError(f"the Hugging Face Hub has no public model {repository}") from None
        raise HubUnreachable(f"it answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise HubUnreachable(str(getattr(error, "reason", error))) from None
    files = [file for file in found["siblings"] if any(Path(file["rfilename"]).match(name) for name in WANTED)]
    return HubRevision(
        repository,
        found["sha"],
        {file["rfilename"]: file["lfs"]["sha256"] for file in files if file.get("lfs")},
        sum(file.get("size") or 0 for file in files),
    )


def download(revision: HubRevision, folder: Path, say: Say) -> None:
    """Downloads the wanted files into `folder`, going on where an earlier try ended. Raises HubUnreachable."""
    say(f"downloading {revision.repository} ({revision.size_bytes // _MIB} MiB) from the Hugging Face Hub")
    arguments = {
        "repo_id": revision.repository,
        "revision": revision.commit,
        "local_dir": str(folder),
        "allow_patterns": WANTED,
    }
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    done = run_child([sys.executable, "-c", _DOWNLOAD, json.dumps(arguments)], shown=sys.stderr.isatty())
    if done.returncode != 0:
        raise HubUnreachable(last_line(done.stderr))
