"""A server that stands in for the model hub in tests, and fails on demand.

The server implements the requests of the hub's client. Tests in other languages run it as a
program, `python local_hub.py OWNER/NAME=FILE.nemo`. The program prints its address on the first
line, and serves files until its standard input ends.
"""

import hashlib
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from pathlib import Path

COMMIT = "c0ffee" + 34 * "0"


@dataclass
class Refusal:
    """A response in place of the right one, for the next `times` requests."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1 << 30


class LocalHub(ThreadingHTTPServer):
    """Serves `repositories`, a mapping of OWNER/NAME to file names to contents.

    `refusals` has the keys `api` (the list of files), `resolve` (the location of a file) and
    `content` (its bytes). The next `n_breaks` responses with content end after three quarters, and
    the connection closes. `damage` flips one bit of the content. `requests` records method, key and
    first byte of every request; `tokens` records their Authorization headers.
    """

    daemon_threads = True

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.refusals: dict[str, Refusal] = {}
        self.n_breaks = 0
        self.damage = False
        self.requests: list[tuple[str, str, int]] = []
        self.tokens: set[str | None] = set()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def start(self) -> "LocalHub":
        """Starts a thread that serves."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """Ends the thread and closes the port."""
        self.shutdown()
        self.server_close()

    def content(self, digest: str) -> bytes:
        """Returns the file of this SHA-256."""
        files = [file for files in self.repositories.values() for file in files.values()]
        return next(file for file in files if hashlib.sha256(file).hexdigest() == digest)


class Handler(BaseHTTPRequestHandler):
    """One connection. As on the hub, `resolve` redirects to a file and states its digest."""

    server: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Responds as to GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Dispatches by path."""
        match self.path.split("?")[0].strip("/").split("/"):
            case ["api", "models", owner, name]:
                self.serve("api", lambda: self.listing(f"{owner}/{name}"))
            case [owner, name, "resolve", _, *parts]:
                self.serve("resolve", lambda: self.location(f"{owner}/{name}", "/".join(parts)))
            case ["content", digest]:
                self.serve("content", lambda: self.bytes_of(digest))
            case _:
                self.answer(404)

    def serve(self, kind: str, right) -> None:
        """Sends the right response, or the refusal of this key."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.server.requests.append((self.command, kind, start))
        self.server.tokens.add(self.headers.get("Authorization"))
        refusal = self.server.refusals.get(kind)
        if refusal is None or refusal.times == 0:
            right()
            return
        refusal.times -= 1
        self.answer(refusal.status, refusal.headers)

    def listing(self, repository: str) -> None:
        """Sends the model's metadata, of which the client reads the names of the files."""
        files = self.server.repositories.get(repository)
        if files is None:
            self.answer(401, {"X-Error-Code": "RepoNotFound"})
            return
        names = [{"rfilename": name} for name in files]
        card = {"id": repository, "sha": COMMIT, "siblings": names}
        self.answer(200, {"Content-Type": "application/json"}, dumps(card).encode())

    def location(self, repository: str, name: str) -> None:
        """Redirects to the file, and states its digest and size."""
        file = self.server.repositories.get(repository, {}).get(name)
        if file is None:
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        digest = hashlib.sha256(file).hexdigest()
        headers = {
            "Location": f"{self.server.address}/content/{digest}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(file)),
        }
        self.answer(302, headers)

    def bytes_of(self, digest: str) -> None:
        """Sends the file from the requested byte on."""
        file = self.server.content(digest)
        start = self.server.requests[-1][2]
        if start >= len(file):
            self.answer(416, {"Content-Range": f"bytes */{len(file)}"})
            return
        if self.server.damage:
            file = file[:-1] + bytes([file[-1] ^ 1])
        part = file[start:]
        headers = {"Content-Range": f"bytes {start}-{len(file) - 1}/{len(file)}"} if start else {}
        broken = self.server.n_breaks > 0
        self.server.n_breaks -= broken
        sent = part[: len(part) * 3 // 4] if broken else part
        self.answer(206 if start else 200, headers, sent, n_bytes=len(part))
        self.close_connection = broken

    def answer(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        n_bytes: int = -1,
    ) -> None:
        """Writes a response; `n_bytes` is the stated length, by default that of the body."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if n_bytes < 0 else n_bytes))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing: `requests` records every request."""


def main() -> None:
    """Serves the files named on the command line."""
    repositories = {}
    for argument in sys.argv[1:]:
        repository, path = argument.split("=")
        repositories[repository] = {Path(path).name: Path(path).read_bytes()}
    hub = LocalHub(repositories).start()
    print(hub.address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
