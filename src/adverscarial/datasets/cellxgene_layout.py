"""Files of CELLxGENE, with symbols in ``feature_name`` and counts in ``raw``: arranged as other data are."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.cells.matrix import is_sparse
from adverscarial.datasets.symbols import gene_symbols
from adverscarial.errors import DataError

logger = logging.getLogger(__name__)


def is_of_cellxgene(adata: AnnData) -> bool:
    """Return whether the columns of ``var`` and the names of genes are those that CELLxGENE's schema asks for."""
    columns = {"feature_name", "feature_reference", "feature_biotype"}
    ids = sum(str(name).startswith("ENS") for name in adata.var_names)
    return len(columns & set(adata.var)) >= 2 and "feature_name" in adata.var and 2 * ids > adata.n_vars


def as_expected(adata: AnnData, path: Path) -> AnnData:
    """Return what such a file holds with counts in ``X`` and symbols as names, and say so; nothing is left out."""
    said = []
    try:
        counts, normalized = counts_of(adata)
    except DataError:
        said.append("it holds no counts, so X is what it was")
    else:
        if normalized is not None:
            said.append("the counts of raw are X now, and layers['normalized'] is what X was")
            adata.layers["normalized"] = normalized
            adata.X = counts
            adata.raw = None
    said.append("genes have the symbols of feature_name as names, and their ids are in var['gene_id']")
    logger.warning(
        "'%s' is arranged as CELLxGENE does: %s. arrange=False leaves it as it is stored.", path, "; ".join(said)
    )
    return gene_symbols(adata, "feature_name")


def arranged(adata: AnnData) -> AnnData:
    """Return a data set of the portal with counts in ``X`` and symbols as names of genes, without its other layers.

    Raises
    ------
    DataError
        If it holds no counts.
    """
    counts, normalized = counts_of(adata)
    adata = AnnData(counts, obs=adata.obs, var=adata.var, obsm=dict(adata.obsm), uns=dict(adata.uns))
    if normalized is not None:
        adata.layers["normalized"] = normalized
    return gene_symbols(adata, "feature_name") if "feature_name" in adata.var else adata


def counts_of(adata: AnnData) -> tuple[Matrix, Matrix | None]:
    """Return the counts of a file, for the genes of its ``X``; and what ``X`` holds, if that is something else.

    Raises
    ------
    DataError
        If it holds no counts.
    """
    if _whole(adata.X):
        return adata.X, None
    raw = adata.raw
    if raw is None or not _whole(raw.X):
        raise DataError("Neither X nor raw of this data set holds counts. Load the file itself with datasets.load.")
    if raw.var_names.equals(adata.var_names):
        return raw.X, adata.X
    if not adata.var_names.isin(raw.var_names).all():
        raise DataError("The genes of X are not among those of raw. Load the file itself with datasets.load.")
    return raw[:, adata.var_names].X, adata.X


def _whole(X: Matrix) -> bool:
    values = np.asarray(X.data if is_sparse(X) else X)
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values == np.rint(values)).all())
