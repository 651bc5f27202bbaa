"""A small Hugging Face Hub on loopback: the parts of its REST API that fetching a model uses."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Serves one repository. `files` may be changed meanwhile, the hashes it tells stay those of `promised`."""

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.repository = repository
        self.commit = COMMIT
        self.files = dict(files)
        self.promised = dict(files)
        self.ranges: list[str] = []
        self.tokens_at_storage: list[str | None] = []
        self.breaks_at_byte: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class _Door(BaseHTTPRequestHandler):
    server: HubServer

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        hub = self.server
        if path.startswith(f"/api/models/{hub.repository}/revision/"):
            self._json(
                {"id": hub.repository, "sha": hub.commit, "siblings": [self._sibling(name) for name in hub.promised]}
            )
        elif path.startswith(f"/{hub.repository}/resolve/{hub.commit}/"):
            name = path.rsplit("/", 1)[1]
            # As the Hub does it: what is large lies elsewhere, what is small has a second address.
            storage = f"http://localhost:{hub.server_port}/storage/{name}"
            self._send(302, b"", {"Location": storage if name == "model.bin" else f"/api/resolve-cache/{name}"})
        elif path.startswith("/api/resolve-cache/"):
            if self.headers.get("Authorization"):
                self._file(path.rsplit("/", 1)[1])
            else:
                self._send(401, b"", {})
        elif path.startswith("/storage/"):
            hub.tokens_at_storage.append(self.headers.get("Authorization"))
            self._file(path.rsplit("/", 1)[1])
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _sibling(self, name: str) -> dict[str, object]:
        data = self.server.promised[name]
        lfs = {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}} if name == "model.bin" else {}
        return {"rfilename": name, "size": len(data), **lfs}

    def _file(self, name: str) -> None:
        data, end = self.server.files[name], self.server.breaks_at_byte
        asked = self.headers.get("Range")
        if not asked:
            return self._send(200, data, {}, data[:end])
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").split("-")[0])
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return self._send(206, data[start:], headers, data[start:end])

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str], sent: bytes | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if sent is None else sent)


@contextmanager
def hub_server(repository: str, files: dict[str, bytes]) -> Iterator[HubServer]:
    """The server, answering within the block."""
    with HubServer(repository, files) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
