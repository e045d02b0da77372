"""A server that stands in for the model hub, as far as its client asks, and fails on demand.

As a program it serves files until its standard input ends, for tests in other languages:
`python local_hub.py OWNER/NAME=FILE.nemo`; the first line it prints is its address.
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
    """An answer in place of the right one; `times` it is given, then no more."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1 << 30


class LocalHub(ThreadingHTTPServer):
    """Serves `repositories`: OWNER/NAME to file names to contents.

    `refusals` are for `api` (the listing), `resolve` (where a file lies) and `content` (its bytes).
    `n_breaks` answers with content end after three quarters, the connection closed; `damage` turns
    a bit over.
    `requests` is what was asked: method, what for, and from which byte on; `tokens` by whom.
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
        """Serves on a thread of its own."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """Ends and closes the port."""
        self.shutdown()
        self.server_close()

    def content(self, digest: str) -> bytes:
        """The file of this SHA-256."""
        files = [file for files in self.repositories.values() for file in files.values()]
        return next(file for file in files if hashlib.sha256(file).hexdigest() == digest)


class Handler(BaseHTTPRequestHandler):
    """One connection. Files lie elsewhere: `resolve` leads to them and states their digest."""

    server: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Answers as GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Sorts by address."""
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
        """The right answer, or the refusal that is due."""
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
        """The model's card, of which the client needs the names of the files."""
        files = self.server.repositories.get(repository)
        if files is None:
            self.answer(401, {"X-Error-Code": "RepoNotFound"})
            return
        names = [{"rfilename": name} for name in files]
        card = {"id": repository, "sha": COMMIT, "siblings": names}
        self.answer(200, {"Content-Type": "application/json"}, dumps(card).encode())

    def location(self, repository: str, name: str) -> None:
        """Where the file lies, and what it is."""
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
        """The file from the byte asked for on."""
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
        """Writes an answer; `n_bytes` is the length it claims, that of the body by default."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if n_bytes < 0 else n_bytes))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: `requests` has it."""


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
