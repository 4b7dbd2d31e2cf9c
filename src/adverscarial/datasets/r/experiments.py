"""Bioconductor's SummarizedExperiment and SingleCellExperiment as AnnData."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.r.serialized import RObject
from adverscarial.datasets.r.values import Named, UnreadableError, frame, listed, matrix, row_names
from adverscarial.errors import DataError, some

logger = logging.getLogger(__name__)

#: where an experiment keeps its gene names, by the class of its row ranges; the first that is filled counts
_GENE_NAMES = (
    ("rowRanges", "partitioning", "NAMES"),  # no genomic ranges known: the usual case
    ("rowRanges", "ranges", "NAMES"),
    ("NAMES",),
    ("elementMetadata", "rownames"),
)


def is_experiment(node: RObject) -> bool:
    """Return whether an object is a SummarizedExperiment, or of one of the many classes that extend it."""
    return node.kind == "S4" and {"assays", "colData"} <= set(node.attributes)


def read(node: RObject, path: Path) -> AnnData:
    """Return an experiment: assay ``counts`` (else ``logcounts``, else the first) as X, the others as layers.

    ``colData`` becomes obs, ``rowData`` var, ``reducedDims`` obsm. Alternative experiments are left out.
    """
    assays = _assays(node, path)
    main = chosen(assays, ("counts", "logcounts"))
    logger.info("'%s': assay '%s' is X.", path, main)
    n_cells = assays[main].values.shape[1]
    genes = _gene_names(node) or assays[main].rows
    if genes is None:
        raise DataError(f"'{path}' has no gene names. In R, set rownames(sce) and save it again.")
    described = node.slot("colData")
    cells = (row_names(described) if described is not None else None) or assays[main].columns
    X = cells_by_genes(assays.pop(main).values)
    adata = AnnData(
        X,
        obs=_renamed(described, cells or [f"cell{i + 1}" for i in range(n_cells)]),
        var=_renamed(_row_data(node), genes),
        layers={
            name: cells_by_genes(each.values) for name, each in assays.items() if each.values.shape == X.shape[::-1]
        },
    )
    for name, values in _reduced(node).items():
        if values.shape[0] == n_cells:
            adata.obsm[name] = values
    if others := listed(_internal(node, "altExps")):
        logger.info("'%s': alternative experiments are left out: %s.", path, some(others))
    return adata


def chosen(assays: dict[str, Named], usual: tuple[str, ...]) -> str:
    """Return the assay that becomes X: one with a usual name, else the first of numbers, else the first."""
    numeric = [name for name, each in assays.items() if each.values.dtype.kind != "b"]
    return next((name for name in usual if name in assays), (numeric or list(assays))[0])


def cells_by_genes(values: np.ndarray | sp.csc_matrix | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
    """Return a matrix of R, genes x cells, as cells x genes."""
    return sp.csr_matrix(values.T) if sp.issparse(values) else np.ascontiguousarray(values.T)


def _assays(node: RObject, path: Path) -> dict[str, Named]:
    holder = node.slot("assays")
    data = None if holder is None else holder.slot("data")
    if data is None and holder is not None:  # experiments of Bioconductor before 3.11 keep them in an environment
        inside = holder.slot(".xData")
        data = inside.data.get("data") if inside is not None and inside.kind == "environment" else holder
    found, unread = {}, {}
    for name, each in listed(data).items():
        try:
            found[name] = matrix(each)
        except UnreadableError as error:
            unread[name] = str(error)
    if unread:
        name, what = next(iter(unread.items()))
        assay = f"assay(x, '{name}')"
        text = f"'{path}': assay '{name}' is {what}. In R, bring it into memory: {assay} <- as({assay}, 'dgCMatrix')"
        if not found:
            raise DataError(f"{text}; saveRDS(x, 'sce.rds').")
        logger.warning("%s. The assays %s are read without it.", text, some(found))
    if not found:
        raise DataError(f"'{path}' has no assay. Expected counts or logcounts.")
    return found


def _gene_names(node: RObject) -> list[str] | None:
    for place in _GENE_NAMES:
        if names := node.texts(*place):
            return [str(name) for name in names]
    return None


def _row_data(node: RObject) -> RObject | None:
    """Return rowData, which R keeps with the row ranges, if it keeps those."""
    for table in (node.slot("rowRanges", "elementMetadata"), node.slot("elementMetadata")):
        if listed(table):
            return table
    return None


def _renamed(node: RObject | None, names: list[str]) -> pd.DataFrame:
    """Return a table with these names of rows."""
    index = pd.Index(names, dtype=object)
    table = pd.DataFrame(index=index) if node is None else frame(node, len(names))
    if len(table) != len(names):
        return pd.DataFrame(index=index)
    return table.set_axis(index, axis=0)


def _internal(node: RObject, name: str) -> RObject | None:
    return listed(node.slot("int_colData")).get(name) or node.slot(name)


def _reduced(node: RObject) -> dict[str, np.ndarray]:
    found = {}
    for name, each in listed(_internal(node, "reducedDims")).items():
        try:
            found[name] = np.asarray(matrix(each).values)
        except UnreadableError:
            logger.info("The reduced dimensions '%s' are left out: they are no matrix.", name)
    return found
