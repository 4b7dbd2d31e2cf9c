"""How a table of text is written: comment lines on top, the separator, the header, and the decimal sign."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adverscarial.datasets.text import encoding_of, open_bounded, open_text
from adverscarial.datasets.text import lines as lines_of
from adverscarial.errors import DataError

#: from pandas 3.1 on, numbers are read exactly, and asking for it is deprecated
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACTLY: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}
_WORDS = {",": "commas", "\t": "tabs", ";": "semicolons", " ": "spaces"}
_NUMBER = re.compile(r"\s*(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|na|)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a table is written."""

    separator: str
    header: list[str]  # one entry for each column, the first "" where it has no header
    skip: int  # lines before the first row
    decimal: str


def layout(path: Path) -> Layout:
    """Find out how a table is written, from its first lines.

    Raises
    ------
    DataError
        If there is no second column, or no row.
    """
    comments, lines = _first_lines(path)
    if not lines:
        raise DataError(f"'{path}' is empty, or holds comments only. Expected a header and one line per cell.")
    if comments and (marked := _marked_header(path, comments[-1], lines[0])):
        lines, comments = [marked, *lines], comments[:-1]
    if len(lines) < 2:
        raise DataError(f"'{path}' has one line only, and so 0 cells. Expected a header and then one line per cell.")
    separator = _separator(path, lines)
    if separator is None:
        known = ", ".join(_WORDS.values())
        raise DataError(
            f"'{path}' has one column only. Expected cell names and then one column per gene, separated by {known}."
        )
    header, first = (split(line, separator) for line in lines[:2])
    if len(header) == len(first) - 1:  # R writes no name above the names of rows
        header = ["", *header]
    comma = separator == ";" and any(re.fullmatch(r"[-+]?\d+,\d+", field) for field in first[1:])
    return Layout(separator, [name.strip() for name in header], len(comments) + 1, "," if comma else ".")


def read(path: Path, how: Layout) -> tuple[list[str], pd.DataFrame]:
    """Return the first column as it is written, and all others, with their names of the header."""
    with open_bounded(path) as file:
        table = pd.read_csv(
            file,
            sep=r"\s+" if how.separator == " " else how.separator,
            header=None,
            skiprows=how.skip,
            converters={0: _kept_as_text},
            decimal=how.decimal,
            **(_EXACTLY if how.decimal == "." else {}),
            low_memory=False,
            encoding=encoding_of(path),
        )
    names = [str(name)[1:] for name in table[0]]
    table = table.drop(columns=0)
    if table.shape[1] != len(how.header) - 1:
        raise DataError(
            f"'{path}' has {len(how.header):,} names in its header and {table.shape[1] + 1:,} columns. "
            "Expected one name for each column, or one less. Correct the table."
        )
    nameless = [not name and table[i + 1].isna().all() for i, name in enumerate(how.header[1:])]
    table.columns = pd.Index(how.header[1:], dtype=object)
    return names, table.loc[:, [not empty for empty in nameless]]  # a separator at the end of lines makes a column


def _kept_as_text(name: str) -> str:
    """Return a name behind a mark: 001, 1e5 and NA stay text, also where pandas 3 looks for missing values."""
    return f"={name.strip()}"


def split(line: str, separator: str) -> list[str]:
    """Return the fields of one line."""
    return next(csv.reader([line.strip(" ") if separator == " " else line], delimiter=separator, skipinitialspace=True))


def _first_lines(path: Path) -> tuple[list[str], list[str]]:
    """Return the comments and empty lines on top, and at most two lines after them."""
    comments: list[str] = []
    lines: list[str] = []
    with open_text(path) as file:
        for line in lines_of(path, file):
            line = line.rstrip("\r\n")
            if not lines and (not line.strip() or line.lstrip(' "').startswith("#")):
                comments.append(line)
            elif line.strip():
                lines.append(line)
            if len(lines) == 2:
                break
    return comments, lines


def _marked_header(path: Path, comment: str, first: str) -> str | None:
    """Return a header that begins with '#' itself: as many fields as the row after it, which holds numbers."""
    for separator in _order(path):
        header, row = split(comment.lstrip(' "#'), separator), split(first, separator)
        if len(header) == len(row) > 1 and all(_NUMBER.fullmatch(field) for field in row[2:] or row[1:]):
            return comment.lstrip(' "#')
    return None


def _order(path: Path) -> str:
    return ",;\t " if ".csv" in path.name.lower() else "\t,; "


def _separator(path: Path, lines: list[str]) -> str | None:
    """Return what separates the fields of the header and of the first row alike; the ending says what to try first."""
    for least in (2, 1):  # a header of one name belongs to a table of R with one gene; anything else is likelier
        for separator in _order(path):
            header, row = (len(split(line, separator)) for line in lines[:2])
            if row >= 2 and header in (row, row - 1) and header >= least:
                return separator
    for separator in _order(path):  # a sound header above a row that is cut short
        if len(split(lines[0], separator)) > 1 and len(split(lines[1], separator)) > 1:
            return separator
    return None
