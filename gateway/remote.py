"""What an operator asks of a running gateway, over HTTP, with the standard library alone."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

ACTIONS = {"status": "GET", "load": "POST", "unload": "POST", "reload": "POST"}
_TIMEOUT_S = 360.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


class RefusedError(Exception):
    """The gateway said no, or did not answer; in one line."""


class Gateway:
    """A gateway at an address, with its admin key if it has one."""

    def __init__(self, host: str, port: int, admin_key: str) -> None:
        host = _ANY_ADDRESS.get(host, host)
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        # An operator's gateway is no web site: the environment's proxy is not for it.
        self._http = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._headers = {"Authorization": f"Bearer {admin_key}"} if admin_key else {}

    def models(self) -> list[dict[str, Any]]:
        """The models with their state. Raises RefusedError."""
        found: list[dict[str, Any]] = self._ask("GET", "/v1/models")["data"]
        return found

    def model(self, action: str, name: str) -> dict[str, Any]:
        """Does one of ACTIONS and returns the model's status. Raises RefusedError."""
        return self._ask(ACTIONS[action], f"/v1/models/{urllib.parse.quote(name, safe='')}/{action}")

    def memory(self, *, trace_s: int) -> dict[str, Any]:
        """What lives in the gateway; with `trace_s`, what grew within so many seconds. Raises RefusedError."""
        return self._ask("GET", f"/debug/memory?collect=true&trace_s={trace_s}")

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, method=method, headers=self._headers)  # noqa: S310 - http
        try:
            with self._http.open(request, timeout=_TIMEOUT_S) as answer:
                body: dict[str, Any] = json.load(answer)
                return body
        except urllib.error.HTTPError as error:
            raise RefusedError(_message(error)) from None
        except (OSError, ValueError) as error:
            raise RefusedError(f"{self._url} does not answer: {getattr(error, 'reason', error)}") from None


def memory_lines(memory: dict[str, Any]) -> Iterator[str]:
    """The answer of `Gateway.memory` as a table."""
    for name in ("resident_bytes", "files", "tasks", "pending_futures", "objects"):
        yield f"{memory[name]:>14,}  {name.replace('_', ' ')}"
    for part, head, title in (
        ("threads", "threads", "by name"),
        ("own", "objects", "of the service"),
        ("most", "objects", "of all types, the most frequent"),
    ):
        yield f"\n{head:>14}  {title}"
        for name, count in sorted(memory[part].items(), key=lambda entry: -entry[1]):
            yield f"{count:>14,}  {name}"
    if memory["allocations"]:
        yield f"\n{'bytes grown':>14}  by"
    for line in memory["allocations"]:
        yield f"{line['size_bytes']:>14,}  {line['where']} ({line['blocks']:,} blocks)"


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {error.code}"
