"""Files that R wrote with ``saveRDS``, read without R."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial import _memory
from adverscarial.datasets import text
from adverscarial.datasets.orientation import rows_are_genes
from adverscarial.datasets.r import experiments, seurat
from adverscarial.datasets.r.experiments import cells_by_genes
from adverscarial.datasets.r.serialized import RObject, parse
from adverscarial.datasets.r.values import UnreadableError, frame, matrix, row_names
from adverscarial.datasets.readers.features import names_may_repeat, unique_genes
from adverscarial.datasets.readers.registry import register
from adverscarial.datasets.readers.table import from_frame
from adverscarial.errors import DataError, ParameterError, some

logger = logging.getLogger(__name__)

_PIECE = 2**24  # bytes
_SCE = "saveRDS(SingleCellExperiment::SingleCellExperiment(list(counts = m)), 'sce.rds'), m a matrix of genes x cells"
#: what R calls the object, and the line of R that brings it into a form that is read
_ADVICE = {
    "seurat": "saveRDS(Seurat::UpdateSeuratObject(x), 'seurat.rds')",
    "CellDataSet": "saveRDS(as(x, 'SingleCellExperiment'), 'sce.rds')",
    "cell_data_set": "saveRDS(as(x, 'SingleCellExperiment'), 'sce.rds')",
    "ExpressionSet": "saveRDS(as(as(x, 'SummarizedExperiment'), 'SingleCellExperiment'), 'sce.rds')",
    "MultiAssayExperiment": "saveRDS(as(x[[1]], 'SingleCellExperiment'), 'sce.rds')",
}


@register(
    "rds",
    endings=(".rds",),
    about="an R file with a SingleCellExperiment, SummarizedExperiment, Seurat object, matrix or data.frame",
    options=("mod", "transpose"),
)
def read(path: Path, *, mod: str | None = None, transpose: bool | None = None) -> AnnData:
    """Read an R object; `mod` names an assay of a Seurat object, `transpose` is for matrices and data frames."""
    node = parse(_content(path), path)
    with names_may_repeat():
        return unique_genes(_as_anndata(node, path, mod, transpose), path)


def _as_anndata(node: RObject, path: Path, mod: str | None, transpose: bool | None) -> AnnData:
    found = node.classes
    if mod is not None and "Seurat" not in found:
        raise ParameterError(f"mod= names an assay of a Seurat object; '{path}' holds '{found[0]}'. Leave it out.")
    if experiments.is_experiment(node):
        return experiments.read(node, path)
    if "Seurat" in found:
        return seurat.read(node, path, mod)
    if "data.frame" in found:
        return _table(node, path, transpose)
    try:
        values, rows, columns = matrix(node)
    except UnreadableError:
        raise DataError(_strange(node, path)) from None
    if rows is None or columns is None:
        raise DataError(
            f"'{path}' holds a matrix ('{found[0]}') without names of its rows and columns. In R, set rownames(m) and "
            "colnames(m) and save it again."
        )
    if transpose is None:
        told = rows_are_genes(rows, columns)
        transpose = True if told is None else told  # as in all of R's packages for single cells
        side = "genes" if transpose else "cells"
        logger.info("'%s': rows of the matrix (%s) are taken for %s.", path, some(rows, 2), side)
    X = cells_by_genes(values) if transpose else sp.csr_matrix(values) if sp.issparse(values) else values
    cells, genes = (columns, rows) if transpose else (rows, columns)
    X = X.astype(np.float64) if X.dtype.kind == "b" else X
    return AnnData(X, obs=_named(cells), var=_named(genes))


def _named(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(names, dtype=object))


def _table(node: RObject, path: Path, transpose: bool | None) -> AnnData:
    table = frame(node)
    for name in table.columns[[pd.api.types.is_extension_array_dtype(dtype) for dtype in table.dtypes]]:
        if pd.api.types.is_integer_dtype(table[name].dtype):  # whole numbers of which one is missing
            table[name] = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    if row_names(node) is not None:
        return from_frame([str(name) for name in table.index], "", table, path, transpose)
    if not table.shape[1]:
        raise DataError(f"'{path}' holds a data.frame without columns. Expected one column per gene or cell.")
    if pd.api.types.is_numeric_dtype(table.dtypes.iloc[0]):
        return from_frame([str(i + 1) for i in range(len(table))], "", table, path, transpose)
    names = ["" if pd.isna(name) else str(name) for name in table.iloc[:, 0]]  # a tibble has no names of rows
    return from_frame(names, str(table.columns[0]), table.iloc[:, 1:], path, transpose)


def _content(path: Path) -> bytes:
    """Return the unpacked content, no more of it than there is memory for."""
    parts, size = [], 0
    with text.open_bytes(path) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            _memory.check(_PIECE + size, f"'{path}', unpacked,", "Read it on a larger machine, if its size is right.")
            parts.append(piece)
    return b"".join(parts)


def _strange(node: RObject, path: Path) -> str:
    found = node.classes[0]
    inside = ""
    if node.kind == "list" and (names := node.texts("names")):
        inside = f" with the elements {some([name for name in names if name])}"
    line = _ADVICE.get(found, _SCE)
    if "DelayedMatrix" in found or "HDF5" in found or "Matrix" in found:
        line = f"saveRDS(as(x, 'dgCMatrix'), 'counts.rds'), or {_SCE}"
    return (
        f"'{path}' holds an R object of class '{found}'{inside}, expected 'SingleCellExperiment', "
        f"'SummarizedExperiment', 'Seurat', a matrix or a data.frame. In R: {line}."
    )
