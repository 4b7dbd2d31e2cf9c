"""A server on the loopback that answers as the portal CELLxGENE Discover does; it cuts transfers where told to."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import scanpy as sc

LIVER = "cd6398a9-c0af-4467-9091-c536866535bd"
VERSION = "11111111-2222-3333-4444-555555555555"
OLDER = "99999999-2222-3333-4444-555555555555"
EXPLORER = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
GONE = "00000000-0000-0000-0000-000000000000"


class Portal(ThreadingHTTPServer):
    """What the server holds, and what it was asked."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {"new.h5ad": content, "old.h5ad": b"an older version"}
        self.cuts: list[int] = []  # bytes after which the next transfers end
        self.ranges = True  # whether parts of files are given
        self.announced: int | None = len(content)
        self.asked: list[tuple[str, str | None]] = []
        self.page: bytes | None = None  # instead of every answer
        self.elsewhere: dict[str, str] = {}  # where an address leads instead
        self.homes: dict[str, str] = {}  # other names of addresses

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def row(self, version: str, file: str) -> dict[str, Any]:
        return {
            "dataset_id": LIVER,
            "dataset_version_id": version,
            "explorer_url": f"https://cellxgene.cziscience.com/e/{EXPLORER}.cxg/",
            "title": "Liver",
            "assets": [
                {"filetype": "RDS", "filesize": 1, "url": f"{self.url}/nothing"},
                {"filetype": "H5AD", "filesize": self.announced, "url": f"{self.url}/moved/{file}"},
            ],
        }

    def answer(self, path: str) -> Any:
        rows = [self.row(VERSION, "new.h5ad"), self.row(OLDER, "old.h5ad")]
        if path == "/datasets":
            return rows[:1]
        return rows if path == f"/datasets/{LIVER}/versions" else None


class _Handler(BaseHTTPRequestHandler):
    server: Portal
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.server.page is not None:
            self._send(200, self.server.page, "text/html")
        elif self.path in self.server.elsewhere:
            self._lead_to(self.server.elsewhere[self.path])
        elif self.path.startswith("/moved/"):
            self._lead_to(self.path.replace("/moved/", "/files/"))
        elif self.path.startswith("/files/"):
            self._file(self.server.files[self.path.rpartition("/")[2]])
        else:
            found = self.server.answer(self.server.homes.get(self.path, self.path))
            body = json.dumps({"detail": "Not Found"} if found is None else found).encode()
            self._send(404 if found is None else 200, body, "application/json")

    def _lead_to(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, content: bytes) -> None:
        tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and self.server.ranges and self.headers.get("If-Range", tag) == tag:
            start = int(wanted[1])
            if start >= len(content):
                self._send(416, b"", "text/plain")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else len(content)
        self.wfile.write(content[start:end])
        self.wfile.flush()
        if end < len(content):
            self.close_connection = True


@contextmanager
def serving(content: bytes) -> Iterator[Portal]:
    """Serve a file under the paper's id of the liver."""
    server = Portal(content)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Let scanpy keep data sets in a folder."""
    before = sc.settings.datasetdir
    sc.settings.datasetdir = folder
    try:
        yield
    finally:
        sc.settings.datasetdir = before
