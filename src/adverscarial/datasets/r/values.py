"""R's matrices, columns and tables as those of numpy, scipy and pandas."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from adverscarial.datasets.r.serialized import NA_INTEGER, RObject
from adverscarial.errors import DataError

logger = logging.getLogger(__name__)

#: classes of the package Matrix: the letter for the type of values, general, and how they are kept
_SPARSE = {f"{kind}g{form}Matrix" for kind in "dln" for form in "CRT"}


class UnreadableError(DataError):
    """A part of an R object that cannot be read here."""


class Named(NamedTuple):
    """A matrix as R has it, with the names of its rows and columns where it has any."""

    values: np.ndarray | sp.csc_matrix | sp.csr_matrix
    rows: list[str] | None
    columns: list[str] | None


def matrix(node: RObject) -> Named:
    """Return a matrix, sparse or dense.

    Raises
    ------
    UnreadableError
        If it is no matrix, or its values lie elsewhere.
    """
    name = node.classes[0]
    if name in _SPARSE:
        return Named(_sparse(node, name), *_dimnames(node.slot("Dimnames")))
    if name in ("dgeMatrix", "lgeMatrix"):
        x, dims = node.slot("x"), _dims(node.slot("Dim"))
        if x is None or dims is None:
            raise UnreadableError(f"a {name} without its values")
        return Named(_shaped(numbers(x), dims), *_dimnames(node.slot("Dimnames")))
    dims = _dims(node.slot("dim"))
    if node.kind in ("logical", "integer", "double") and dims is not None:
        return Named(_shaped(numbers(node), dims), *_dimnames(node.slot("dimnames")))
    if name == "data.frame":
        table = frame(node)
        return Named(table.to_numpy(), [str(row) for row in table.index], [str(column) for column in table])
    seed = node.slot("seed")
    if name in ("DelayedMatrix", "DelayedArray") and seed is not None and seed.slot("seed") is None:
        return matrix(seed)
    raise UnreadableError(f"a {name}, whose values are not kept as a matrix in the file (they lie on disk, HDF5, say)")


def numbers(node: RObject) -> np.ndarray:
    """Return a vector of numbers; missing ones make it float64 with NaN."""
    values = np.asarray(node.data)
    if node.kind in ("logical", "integer"):
        missing = values == NA_INTEGER
        if missing.any():
            return np.where(missing, np.nan, values.astype(np.float64))
        return values.astype(bool) if node.kind == "logical" else values
    return values


def column(node: RObject) -> np.ndarray | pd.api.extensions.ExtensionArray | None:
    """Return a column of a table: one plain value per row; None where it is something else."""
    if node.slot("dim") is not None and len(node.slot("dim").data) > 1:  # type: ignore[union-attr]
        return None
    if node.classes[0] == "Rle":
        values, lengths = node.slot("values"), node.slot("lengths")
        inside = None if values is None else column(values)
        if inside is None or lengths is None or np.sum(lengths.data) > 2**28:
            return None
        return pd.Series(inside).repeat(lengths.data).reset_index(drop=True).array
    levels = node.texts("levels")
    if levels is not None and node.kind == "integer":
        codes = np.where(node.data == NA_INTEGER, 0, node.data) - 1
        names = pd.Index([str(level) for level in levels])
        return pd.Categorical.from_codes(codes, categories=names, ordered="ordered" in node.classes)
    if node.kind == "character":
        texts = pd.Series(node.data, dtype=object)
        # of texts alone, AnnData writes no missing ones
        return pd.Categorical(texts) if texts.isna().any() else texts.to_numpy()
    if node.kind in ("logical", "integer"):
        missing = node.data == NA_INTEGER
        if node.kind == "logical":
            plain = np.where(missing, 0, node.data).astype(bool)
            return pd.array(plain, dtype="boolean").__class__(plain, missing) if missing.any() else plain
        return pd.arrays.IntegerArray(np.where(missing, 0, node.data), missing) if missing.any() else node.data
    return node.data if node.kind == "double" else None


def frame(node: RObject, rows: int | None = None) -> pd.DataFrame:
    """Return a data.frame of R, or a DataFrame of Bioconductor; columns of lists and tables are left out."""
    inside = node.slot("listData") or (node if node.kind == "list" else None)
    columns = [] if inside is None else inside.data
    titles = (inside.texts("names") if inside is not None else None) or []
    names = row_names(node)
    n = len(names) if names is not None else rows
    found: dict[str, np.ndarray | pd.api.extensions.ExtensionArray] = {}
    for title, each in zip(titles, columns, strict=False):
        values = column(each)
        n = len(values) if n is None and values is not None else n
        if values is None or len(values) != n:
            logger.info("Column '%s' is left out: it is nested.", title)
            continue
        found[str(title)] = values
    index = pd.Index(names, dtype=object) if names is not None else pd.RangeIndex(n or 0)
    return pd.DataFrame(found, index=index)


def row_names(node: RObject) -> list[str] | None:
    """Return the names of the rows of a table, where they are more than numbers."""
    for place in ("row.names", "rownames"):
        names = node.texts(place)
        if names is not None:
            return [str(name) for name in names]
    return None


def listed(node: RObject | None) -> dict[str, RObject]:
    """Return the elements of a list of R, or of a List of Bioconductor, by name."""
    if node is None:
        return {}
    inside = node.slot("listData") or node
    if inside.kind != "list":
        return {}
    names = inside.texts("names") or []
    return {
        str(names[i]) if i < len(names) and names[i] else f"{i + 1}": element for i, element in enumerate(inside.data)
    }


def _sparse(node: RObject, name: str) -> sp.csc_matrix | sp.csr_matrix:
    dims = _dims(node.slot("Dim"))
    if dims is None:
        raise UnreadableError(f"a {name} without its size")
    parts = {slot: node.slot(slot) for slot in "ijpx"}
    i, j, p = (None if parts[slot] is None else np.asarray(parts[slot].data) for slot in "ijp")  # type: ignore[union-attr]
    first = next((each for each in (i, j) if each is not None), None)
    if first is None:
        raise UnreadableError(f"a {name} without its places")
    x = np.ones(len(first), dtype=bool) if parts["x"] is None else numbers(parts["x"])
    if name.endswith("TMatrix"):
        made = sp.coo_matrix((x, (i, j)), shape=dims)
        return made.tocsc() if x.dtype != bool else made.tocsc().astype(bool)
    made = sp.csc_matrix((x, i, p), shape=dims) if name.endswith("CMatrix") else sp.csr_matrix((x, j, p), shape=dims)
    made.check_format(full_check=True)
    return made


def _dims(node: RObject | None) -> tuple[int, int] | None:
    if node is None or node.kind not in ("integer", "double") or len(node.data) != 2:
        return None
    return int(node.data[0]), int(node.data[1])


def _shaped(values: np.ndarray, dims: tuple[int, int]) -> np.ndarray:
    return values.reshape(dims, order="F")


def _dimnames(node: RObject | None) -> tuple[list[str] | None, list[str] | None]:
    if node is None or node.kind != "list" or len(node.data) != 2:
        return None, None
    rows, columns = ([str(name) for name in each.data] if each.kind == "character" else None for each in node.data)
    return rows, columns
