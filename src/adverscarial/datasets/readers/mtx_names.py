"""The lists of genes and of cells that lie beside a Matrix Market file, as the common programs name and write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pandas as pd

from adverscarial.datasets import text
from adverscarial.errors import DataError, some

_ENDING = re.compile(r"\.(?:tsv|txt|csv)(?:\.gz)?$", re.IGNORECASE)
_WHICH = r"(?:all_|filtered_|raw_)?"
_GENES = re.compile(_WHICH + r"(?:genes?|features?|var)(?:_(?:ids?|info|metadata|names?|symbols?|list))?|genenames")
_CELLS = re.compile(_WHICH + r"(?:barcodes?|cells?|obs)(?:_(?:ids?|info|metadata|names?|barcodes?|list))?|cellnames")
_SYMBOLS = re.compile(r"(?:genes?|features?)_(?:names?|symbols?)")
#: first fields of a line that names columns
_TITLES = re.compile(
    r"|x|v1|index|(?:genes?|features?)(?:_?(?:ids?|names?|symbols?))?|barcodes?|bc_wells?|cells?(?:_?(?:ids?|names?))?",
    re.IGNORECASE,
)
_IDS = re.compile(r"(?:gene|feature|ensembl)_?ids?|id|ensembl|accession", re.IGNORECASE)
_NAMES = re.compile(r"(?:gene|feature)_?(?:names?|symbols?|short_name)|symbols?|names?", re.IGNORECASE)
_TYPES = re.compile(r"(?:feature)?_?types?", re.IGNORECASE)


@dataclass(frozen=True)
class NameList:
    """One file of names: a table with one row per gene or cell, without the line that names its columns."""

    path: Path
    table: pd.DataFrame  # of text; columns are numbers where the file does not name them
    titled: bool

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class Companions:
    """The lists that may belong to a matrix, the likeliest first."""

    genes: list[NameList]
    cells: list[NameList]
    symbols: list[NameList]


def visible(folder: Path) -> list[str]:
    """Return the names in a folder without hidden ones, such as the ``._`` files that macOS leaves in archives."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def stem_of(matrix: Path) -> str:
    """Return the name of a matrix without its endings."""
    return re.sub(r"\.mtx(?:\.gz)?$", "", matrix.name, flags=re.IGNORECASE)


def companions(matrix: Path) -> Companions:
    """Find the lists beside a matrix; those that share the beginning of its name come first."""
    stem = stem_of(matrix)
    found: dict[str, list[tuple[int, int, str]]] = {"genes": [], "cells": [], "symbols": []}
    for name in visible(matrix.parent):
        if not _ENDING.search(name):
            continue
        shared, role = _rest(_ENDING.sub("", name), stem)
        if stem == "quants_mat":  # alevin-fry names the sides of its matrix, which is cells x genes
            role = {"rows": "barcodes", "cols": "genes"}.get(role, role)
        for kind, pattern in (("symbols", _SYMBOLS), ("genes", _GENES), ("cells", _CELLS)):
            if pattern.fullmatch(role):
                found[kind].append((-shared, len(role), name))
    return Companions(*([_read(matrix.parent / name) for *_, name in sorted(each)] for each in found_in_order(found)))


def found_in_order(found: dict[str, list[tuple[int, int, str]]]) -> list[list[tuple[int, int, str]]]:
    """Return the candidates for genes, cells and symbols."""
    return [found["genes"], found["cells"], found["symbols"]]


def _rest(base: str, stem: str) -> tuple[int, str]:
    """Return how much of its beginning a name shares with a matrix, up to a separator, and what is left of it."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(base, stem, strict=False)))
    while 0 < common < len(base) and base[common] not in "._- " and base[common - 1] not in "._- ":
        common -= 1
    rest = re.sub(r"[.\-\s]+", "_", base[common:]).strip("_").lower()
    return (common, rest) if rest else (0, re.sub(r"[.\-\s]+", "_", base).lower())


def _read(path: Path) -> NameList:
    rows = text.fields(path)
    titled = bool(rows) and (
        (_TITLES.fullmatch(rows[0][0].strip()) is not None and len(rows) > 1)
        or len(rows[0]) == max(map(len, rows[1:]), default=0) - 1
    )
    width = max(map(len, rows), default=0)
    titles: list[str] = []
    if titled:
        titles = [""] * (width - len(rows[0])) + [title.strip() for title in rows[0]]
        rows = rows[1:]
    table = pd.DataFrame([row + [""] * (width - len(row)) for row in rows], dtype=object)
    if width > 1 and list(table[0]) in ([str(i) for i in range(len(rows))], [str(i + 1) for i in range(len(rows))]):
        table, titles = table.drop(columns=0), titles[1:]  # R and pandas number the rows
        table.columns = pd.RangeIndex(table.shape[1])
    if titles:
        table.columns = pd.Index(titles, dtype=object)
    return NameList(path, table, titled)


def gene_table(genes: NameList, symbols: list[NameList]) -> pd.DataFrame:
    """Return var: its index holds symbols where there are any, ids stand in ``gene_ids``."""
    table = genes.table
    columns = [table.iloc[:, place] for place in range(table.shape[1])]
    if genes.titled:
        ids, names, types = (_titled(table, pattern) for pattern in (_IDS, _NAMES, _TYPES))
        ids = columns[0] if ids is None and names is None else ids
    else:
        ids, names, types = (columns[place] if place < len(columns) else None for place in range(3))
    if names is None:
        beside = [each for each in symbols if len(each) == len(genes) and each.path != genes.path]
        names = beside[0].table.iloc[:, 0] if beside else None
    if names is None or ids is None:
        var = pd.DataFrame(index=_index(ids if names is None else names))
    else:
        kept = [str(name).strip() or str(gene) for name, gene in zip(names, ids, strict=True)]
        var = pd.DataFrame({"gene_ids": ids.to_numpy()}, index=_index(kept))
    if types is not None:
        var["feature_types"] = types.to_numpy()
    if genes.titled and "genome" in table:
        var["genome"] = table["genome"].to_numpy()
    return var


def cell_table(cells: NameList) -> pd.DataFrame:
    """Return obs: its index holds the names, and its columns what else a list with a header says of the cells."""
    obs = pd.DataFrame(index=_index(cells.table.iloc[:, 0]))
    if cells.titled:
        for place, title in enumerate(cells.table.columns[1:], start=1):
            values = cells.table.iloc[:, place]
            numbers = pd.to_numeric(values, errors="coerce")
            obs[str(title)] = (numbers if numbers.notna().all() else values).to_numpy()
    return obs


def _titled(table: pd.DataFrame, pattern: re.Pattern[str]) -> pd.Series | None:
    return next((table.iloc[:, i] for i, title in enumerate(table.columns) if pattern.fullmatch(str(title))), None)


def _index(names: object) -> pd.Index:
    return pd.Index([str(name).strip() for name in names], dtype=object)  # type: ignore[attr-defined]


def lacking(matrix: Path, found: Companions) -> DataError | None:
    """Return the error for a matrix beside which one list, or both, are missing."""
    missing = [
        (what, example)
        for what, example, lists in (("genes", "features.tsv", found.genes), ("cells", "barcodes.tsv", found.cells))
        if not lists
    ]
    if not missing:
        return None
    wanted = " and ".join(f"the {what} (for example '{example}' or '{example}.gz')" for what, example in missing)
    return DataError(
        f"'{matrix.parent}' holds {some(visible(matrix.parent), 8)}. A matrix needs two lists beside it, and there is "
        f"none of {wanted} that fits the name '{matrix.name}'. Bring it, or correct its name."
    )
