"""Reading marker tables: which genes speak for, and against, each cell type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import as_file, files
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from adverscarial.errors import DataError, MissingDependencyError, ParameterError, did_you_mean, some


class MarkerSets(NamedTuple):
    """Markers of one cell type, upper case."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]


MarkerTable = dict[str, MarkerSets]

# columns by their names here and in scType's own workbook; corrected symbols come first
_COLUMNS = {
    "cell_type": ("cell_type", "cellName", "cell type", "celltype"),
    "tissue": ("tissue", "tissueType"),
    "positive": ("positive_hgnc", "positive", "geneSymbolmore1", "markers", "genes"),
    "negative": ("negative_hgnc", "negative", "geneSymbolmore2"),
}


_LONGEST = 2**16  # letters of a header


def read_markers(markers: object, tissue: str | None = None) -> MarkerTable:
    """Return marker sets from a file, a DataFrame, a dict, or (None) the table that ships with the package.

    Raises
    ------
    DataError
        If the file or its columns are not a marker table.
    ParameterError
        If the table covers several tissues and none, or an unknown one, was chosen.
    """
    if isinstance(markers, Mapping):
        return _some_positive({str(name): _sets(str(name), entry) for name, entry in markers.items()})
    if markers is None:
        with as_file(files("adverscarial.classifiers") / "pbmc_markers.tsv") as path:
            table = _read_table(path)
    elif isinstance(markers, pd.DataFrame):
        table = markers
    elif isinstance(markers, str | PathLike):
        table = _read_table(markers)
    else:
        raise DataError(
            f"Markers were given as a {type(markers).__name__}; expected a file, a DataFrame, "
            "or a dict of cell type -> genes."
        )
    return _from_table(table, tissue)


def source_text(markers: object) -> str:
    """Return how `markers` were given, for a repr: nothing, a path that can be read again, or ``...``."""
    return "" if markers is None else repr(str(markers)) if isinstance(markers, str | PathLike) else "..."


def in_capitals(markers: object) -> bool:
    """Return whether most symbols are written in capitals, as human ones; `markers` as for :func:`read_markers`.

    Examples
    --------
    >>> in_capitals({"T": ["CD3D", "CD8A"]}), in_capitals({"T": ["Cd3d", "Cd8a"]})
    (True, False)
    """
    if markers is None:
        return True  # the table of this package
    if isinstance(markers, str | PathLike):
        markers = _read_table(markers)
    if isinstance(markers, pd.DataFrame):
        names = [name for name in _COLUMNS["positive"] if name in markers]
        listed = [gene for text in (markers[names[0]] if names else ()) for gene in str(text).split(",")]
    else:
        entries = markers.values() if isinstance(markers, Mapping) else ()
        positive = [entry.get("positive") if isinstance(entry, Mapping) else entry for entry in entries]
        listed = [
            str(gene) for genes in positive for gene in (genes.split(",") if isinstance(genes, str) else genes or ())
        ]
    symbols = [gene.strip() for gene in listed if gene.strip()]
    return 2 * sum(gene == gene.upper() for gene in symbols) > len(symbols)


def _sets(name: str, entry: object) -> MarkerSets:
    lists: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"positive": entry}
    strange = set(lists) - {"positive", "negative"}
    if strange or not all(genes is None or isinstance(genes, Iterable) for genes in lists.values()):
        raise DataError(
            f"The markers of '{name}' are {some([entry])}; expected a list of genes, or a dict with the lists "
            "'positive' and 'negative'."
        )
    positive, negative = lists.get("positive"), lists.get("negative")
    return MarkerSets(() if positive is None else _upper(positive), () if negative is None else _upper(negative))


def _some_positive(markers: MarkerTable) -> MarkerTable:
    if not any(sets.positive for sets in markers.values()):
        raise DataError("The marker table lists no positive marker.")
    return markers


def _upper(genes: Iterable[str] | str) -> tuple[str, ...]:
    listed = genes.split(",") if isinstance(genes, str) else genes
    return tuple(str(gene).strip().upper() for gene in listed if str(gene).strip())


def _read_table(path: str | PathLike[str]) -> pd.DataFrame:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no marker table '{path}'.")
    kind = path.suffix.lower()
    if kind in (".tsv", ".txt", ".csv"):
        with path.open("rb") as file:  # over many columns of one name pandas takes minutes
            if len(file.readline(_LONGEST)) == _LONGEST:
                raise DataError(f"'{path}' begins with a line of {_LONGEST:,} letters or more: no marker table.")
    try:
        if kind in (".tsv", ".txt"):
            return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        if kind == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False)
        if kind in (".xlsx", ".xlsm"):
            return pd.read_excel(path, dtype=str, keep_default_na=False)
    except ImportError as error:
        raise MissingDependencyError("openpyxl", "excel", "Reading an Excel marker table") from error
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as a {kind} table ({type(error).__name__}: {error}).") from error
    raise DataError(f"'{path}' ends in '{kind}'; marker tables end in .tsv, .csv or .xlsx.")


def _from_table(table: pd.DataFrame, tissue: str | None) -> MarkerTable:
    found = {role: next((name for name in names if name in table), None) for role, names in _COLUMNS.items()}
    if found["cell_type"] is None or found["positive"] is None:
        raise DataError(
            f"The marker table has the columns {some(table.columns, 8)}; it needs 'cell_type' and 'positive' "
            "(genes separated by commas), and may have 'negative' and 'tissue'."
        )
    if found["tissue"] is not None:
        tissues = list(dict.fromkeys(table[found["tissue"]].astype(str)))
        if tissue is None and len(tissues) > 1:
            raise ParameterError(
                f"The marker table covers {len(tissues)} tissues; choose one with tissue=: {some(tissues, 20)}."
            )
        if tissue is not None and tissue not in tissues:
            raise ParameterError(
                f"There is no tissue '{tissue}' in the table.{did_you_mean(tissue, tissues)} {some(tissues, 20)}."
            )
        table = table if tissue is None else table[table[found["tissue"]] == tissue]
    markers: MarkerTable = {}
    for _, row in table.iterrows():
        lists = [_split(row[found[role]], found[role]) if found[role] else () for role in ("positive", "negative")]
        name = str(row[found["cell_type"]])
        if name in markers:
            raise DataError(f"The marker table names '{name}' twice; give each cell type one row.")
        markers[name] = MarkerSets(*lists)
    return _some_positive(markers)


def _split(cell: object, column: str | None) -> tuple[str, ...]:
    """Return the symbols of one table cell, sorted; corrected columns keep their repeats, which scType counts."""
    genes = sorted(gene for gene in _upper(str(cell).replace(" ", "")) if gene not in ("NA", "NAN"))
    return tuple(genes) if column and column.endswith("_hgnc") else tuple(dict.fromkeys(genes))
