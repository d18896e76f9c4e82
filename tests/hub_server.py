"""A Hub on this machine: the part of the Hub's HTTP protocol that datasets are read by, and its moods.

Datasets are dictionaries of path to bytes. The server answers `/api/datasets/ID`, `.../revision/REV`,
`.../tree/REV/PATH` (in pages of `page` entries, linked by the Link header), `.../paths-info/REV`, `.../auth-check`, and
`/datasets/ID/resolve/REV/PATH` with ETag, X-Repo-Commit and ranges, through a redirect to another path as the Hub does
for large files. Each request that concerns a dataset is logged.
"""

import hashlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlsplit


@dataclass
class Dataset:
    """A dataset: its files at its one commit, what its README says, and how it behaves."""

    files: dict[str, bytes]
    configs: list[dict[str, object]] | None = None
    revisions: tuple[str, ...] = ("main",)
    gated: int = 0  # the status of a refusal: 401 without a token, 403 with one that was not granted
    busy: int = 0  # so many requests are answered with 429 first
    down: bool = False  # every request is answered with 503
    cuts: int = 0  # so many downloads end in the middle
    ranges: bool = True  # False: a mirror that ignores the Range header

    @property
    def commit(self) -> str:
        """A commit hash that follows the content."""
        return hashlib.sha1(repr(sorted(self.files.items())).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Request:
    """One line of the log."""

    method: str
    path: str
    range: str | None
    authorization: str | None
    at: float


@dataclass
class HubServer:
    """Serves `datasets` at `endpoint` while the context is open."""

    datasets: dict[str, Dataset]
    page: int = 1000
    log: list[Request] = field(default_factory=list)
    endpoint: str = ""

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"server_state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def downloads(self) -> list[Request]:
        """The requests for content, redirects not counted."""
        return [request for request in self.log if request.method == "GET" and request.path.startswith("/cdn/")]


class _Handler(BaseHTTPRequestHandler):
    server_state: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = self.headers
        authorization = headers.get("Authorization")
        match = re.match(r"/(?:(?:api/datasets|api/models|datasets|cdn)/|(?!api/))([^/]+/[^/]+)(?:/(.*))?$", path)
        if match is None:  # the client asks for more than repositories; that is no part of what is tested
            self._send(404, b"{}")
            return
        self.server_state.log.append(Request(self.command, path, headers.get("Range"), authorization, time.monotonic()))
        dataset = self.server_state.datasets.get(match[1])
        if dataset is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            return
        if dataset.down:
            self._send(503, b"busy")
            return
        if dataset.busy:
            dataset.busy -= 1
            self._send(429, b"slower", {"Retry-After": "1"})
            return
        rest = match[2] or ""
        if path.startswith("/api/"):
            self._api(match[1], dataset, rest)
        elif rest.startswith("resolve/"):
            self._resolve(match[1], dataset, rest)
        else:
            self._content(dataset, dataset.files[rest])

    def _api(self, name: str, dataset: Dataset, rest: str) -> None:
        kind, _, rest = rest.partition("/")
        if kind == "auth-check" and dataset.gated:
            self._refuse(dataset)
        elif kind == "auth-check":
            self._json({})
        elif kind in ("", "revision") and rest in ("", *dataset.revisions, dataset.commit):
            card = {"configs": dataset.configs} if dataset.configs is not None else {}
            siblings = [{"rfilename": path} for path in dataset.files]
            about = {
                "_id": "0",
                "id": name,
                "private": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
            gated = "auto" if dataset.gated else False
            self._json({**about, "sha": dataset.commit, "gated": gated, "siblings": siblings, "cardData": card})
        elif kind == "tree" and (at := self._revision(dataset, rest)) is not None:
            self._tree(dataset, at)
        elif kind == "paths-info" and self._revision(dataset, rest) == "":
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
            self._json([_entry(path, dataset.files[path]) for path in wanted if path in dataset.files])
        else:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def _revision(self, dataset: Dataset, rest: str) -> str | None:
        for revision in (*dataset.revisions, dataset.commit):
            if rest == revision or rest.startswith(f"{revision}/"):
                return rest[len(revision) + 1 :]
        return None

    def _tree(self, dataset: Dataset, folder: str) -> None:
        inside = sorted(path for path in dataset.files if not folder or path.startswith(f"{folder}/"))
        if folder and not inside:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        folders = {path[:i] for path in inside for i in range(len(folder) + 1, len(path)) if path[i] == "/"}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        entries += [_entry(path, dataset.files[path]) for path in inside]
        query = parse_qs(urlsplit(self.path).query)
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        end = start + self.server_state.page
        if end < len(entries):
            url = f"{self.server_state.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={end}"
            headers["Link"] = f'<{url}>; rel="next"'
        self._json(entries[start:end], headers)

    def _resolve(self, name: str, dataset: Dataset, rest: str) -> None:
        path = self._revision(dataset, rest.removeprefix("resolve/"))
        if dataset.gated:
            self._refuse(dataset)
        elif path is None:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif path not in dataset.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            content = dataset.files[path]
            self._send(302, b"", {
                "Location": f"{self.server_state.endpoint}/cdn/{name}/{quote(path)}",
                "X-Repo-Commit": dataset.commit,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            })  # fmt: skip

    def _content(self, dataset: Dataset, content: bytes) -> None:
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
            "X-Repo-Commit": dataset.commit,
        }
        status, start, end = 200, 0, len(content) - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and dataset.ranges:
            status, start, end = 206, int(asked[1]), min(int(asked[2] or end), end)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        part = content[start : end + 1]
        if dataset.cuts and self.command == "GET":
            dataset.cuts -= 1
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(part))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(status, part, headers)

    def _refuse(self, dataset: Dataset) -> None:
        self._send(dataset.gated, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict[str, object]:
    oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return {"type": "file", "path": path, "oid": oid, "size": len(content)}
