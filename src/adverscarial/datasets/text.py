"""Open files of text, whatever compressed or marked them: what a file begins with counts, not its ending."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from adverscarial import _memory
from adverscarial.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_OPENERS: dict[bytes, Callable[..., object]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


#: a header of a million cells has some 20 million letters
LONGEST = 2**28
_ROWS = 2**20


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, and undo gzip, bzip2 or xz where its first bytes show it."""
    if not path.is_file():  # a pipe or a device might never end
        raise DataError(f"'{path}' is no file. Expected one; name another, or copy what it gives into a file.")
    with path.open("rb") as file:
        start = file.read(6)
    unpack = next((unpack for magic, unpack in _OPENERS.items() if start.startswith(magic)), None)
    return cast(BinaryIO, path.open("rb") if unpack is None else unpack(path, "rb"))


def encoding_of(path: Path) -> str:
    """Return the encoding that a mark at the beginning tells; UTF-8 without one."""
    with open_bytes(path) as file:
        start = file.read(2)
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def open_text(path: Path) -> TextIO:
    """Open a file of text for reading."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding_of(path), newline="")


class _Bounded(io.RawIOBase):
    """A file in which a line that is far too long is an error, before all of it is in memory."""

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._since = path, open_bytes(path), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        piece = self._file.read(memoryview(buffer).nbytes)
        memoryview(buffer)[: len(piece)] = piece
        end = piece.rfind(b"\n")
        self._since = self._since + len(piece) if end < 0 else len(piece) - end - 1
        if self._since > LONGEST:
            raise _too_long(self._path)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_bounded(path: Path) -> BinaryIO:
    """Open a file of text as bytes; reading a line that is far too long raises a DataError."""
    return io.BufferedReader(_Bounded(path), 2**18)


def _too_long(path: Path) -> DataError:
    return DataError(
        f"'{path}' has a line of {LONGEST:,} letters or more, so it is no text. Expected a table or a list; copy or "
        "download it again."
    )


def lines(path: Path, file: TextIO) -> Iterator[str]:
    """Yield the lines of an open file, none of which may be of any length.

    Raises
    ------
    DataError
        If a line is far longer than that of any table: a small compressed file can hold one of any length.
    """
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise _too_long(path)
        yield line


def fields(path: Path) -> list[list[str]]:
    """Return the fields of each line that is not empty; commas separate them in a ``.csv``, tabs elsewhere."""
    separator = "," if ".csv" in path.name.lower() else "\t"
    rows: list[list[str]] = []
    with open_text(path) as file:
        for row in csv.reader(lines(path, file), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) % _ROWS == _ROWS - 1:  # some 300 bytes each; twice that until there are as many again
                _memory.check(600 * len(rows), f"The list '{path}'", "Read it on a larger machine.")
    return rows
