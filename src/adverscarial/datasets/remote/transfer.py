"""Fetching a file: a transfer that was cut goes on where it ended, and what is not whole never has the file's name.

The standard library's ``urllib`` does it: pooch, which scanpy uses for its small files, begins anew each time.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from adverscarial import _store
from adverscarial._progress import Advance, bar
from adverscarial.errors import DataError, StorageError

_TIMEOUT = 60  # seconds without a byte
_BLOCK = 2**20
_BROKEN = (ConnectionError, TimeoutError, http.client.HTTPException)


class NotThere(DataError):
    """The server knows no such address, or no longer."""


def open_url(url: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
    """Open an address of the web; redirects are followed.

    Raises
    ------
    NotThere
        If the server says that there is nothing (400, 403, 404, 410).
    DataError
        If it cannot be reached, or fails.
    """
    _check_web(url)
    agent = {"User-Agent": f"adverscarial/{version('adverscarial')}"}
    try:
        answer: http.client.HTTPResponse = urlopen(Request(url, headers={**agent, **(headers or {})}), timeout=_TIMEOUT)
    except HTTPError as error:
        kind = NotThere if error.code in (400, 403, 404, 410) else DataError
        raise kind(f"'{url}' answers {error.code} ({error.reason}). Try again later, or check the name.") from error
    except (URLError, *_BROKEN, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"'{url}' cannot be reached ({reason}). Is there a network connection, or a proxy?") from error
    _check_web(answer.geturl())
    return answer


def _check_web(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"'{url}' is no address of the web; expected http:// or https://.")


def read_json(url: str) -> Any:
    """Return the JSON value at an address.

    Raises
    ------
    NotThere, DataError
        As :func:`open_url`; also if it is no JSON.
    """
    try:
        with open_url(url) as answer:
            return json.loads(answer.read())
    except (json.JSONDecodeError, UnicodeDecodeError, *_BROKEN) as error:
        raise DataError(
            f"'{url}' answers something else than JSON ({type(error).__name__}: {error}). A proxy's page looks like "
            "this, and so does an answer that was cut short: try again."
        ) from error


def download(url: str, path: Path, *, size: int | None = None, progress: bool | None = None) -> str:
    """Fetch a file, and return its SHA-256.

    Parameters
    ----------
    url, path
        From where to where. What has come so far lies beside it, with ``.part`` behind the name, until all is there.
    size
        Bytes that it must have, where that is known.
    progress
        Progress bar; left out, on a terminal only.

    Raises
    ------
    DataError
        If it cannot be had; the next call goes on where this one ended.
    StorageError
        If it cannot be written.
    """
    part, notes = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with bar(f"Fetching {path.name}", float(size or 0) or 1.0, progress) as advance:
            total = _fetch(url, part, notes, size, advance)
        digest = _checked(part, size if size is not None else total)
        os.replace(part, path)
        notes.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"'{path}' cannot be written ({type(error).__name__}: {error.strerror or error}). "
            "Free space on the disk, or choose another folder: scanpy.settings.datasetdir."
        ) from error
    return digest


def _fetch(url: str, part: Path, notes: Path, size: int | None, advance: Advance) -> int | None:
    """Bring the rest of a file, as often as each attempt brings anything; return the size that the server announced."""
    most = -1
    if part.exists():
        advance(part.stat().st_size)
    while True:
        have = part.stat().st_size if part.exists() else 0
        if size is not None and have == size:
            return size
        if have <= most:
            whole = f" of {size:,}" if size is not None else ""
            raise DataError(
                f"The transfer of '{url}' ends after {have:,}{whole} bytes, again and again. What came is kept: "
                "try again later, and it goes on from there."
            )
        most = have
        total = _attempt(url, part, notes, have, advance)
        wanted = total if size is None else size
        if wanted is None or part.stat().st_size >= wanted:  # where nobody says how long it is, the end is the end
            return wanted


def _attempt(url: str, part: Path, notes: Path, have: int, advance: Advance) -> int | None:
    """Ask once for what is missing; return the size of the whole, where the server says it."""
    known = _known(notes, url) if have else {}
    if have and not known:  # the part of another file
        part.unlink()
        advance(-have)
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and known.get("tag"):
        headers["If-Range"] = str(known["tag"])  # of a file that has changed, all is sent
    try:
        answer = open_url(url, headers)
    except DataError as error:
        if not have or getattr(error.__cause__, "code", None) != 416:
            raise
        part.unlink(missing_ok=True)  # more than the server has: it was another file
        return _attempt(url, part, notes, 0, advance)
    with answer:
        goes_on = answer.status == 206 and _starts_at(answer, have)
        length = answer.headers.get("Content-Length")
        total = None if length is None else int(length) + (have if goes_on else 0)
        _store.write_json(notes, {"url": url, "tag": answer.headers.get("ETag") or ""})
        if have and not goes_on:
            advance(-have)
        with part.open("ab" if goes_on else "wb") as file:
            _copy(answer, file, advance)
    return total


def _starts_at(answer: http.client.HTTPResponse, have: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], advance: Advance) -> None:
    """Write what comes; a connection that breaks ends it, and what came stays."""
    while True:
        try:
            block = answer.read(_BLOCK)
        except http.client.IncompleteRead as error:
            file.write(error.partial)
            advance(len(error.partial))
            return
        except _BROKEN:
            return
        if not block:
            return
        file.write(block)
        advance(len(block))


def _known(notes: Path, url: str) -> dict[str, Any]:
    try:
        known = _store.read_json(notes)
    except StorageError:
        return {}
    return known if known.get("url") == url else {}


def _checked(part: Path, size: int | None) -> str:
    """Return the SHA-256 of a file, and see to its size; one that is too long is removed, since nobody can mend it."""
    found = part.stat().st_size
    if size is not None and found != size:
        part.unlink()
        raise DataError(f"'{part.name}' has {found:,} bytes, {size:,} were announced. It was removed: fetch it again.")
    return sha256(part)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
