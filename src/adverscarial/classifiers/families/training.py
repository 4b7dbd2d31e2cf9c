"""What classifiers that are trained here have in common."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import check_genes, cluster_labels, cluster_names
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.errors import DataError


def training_matrix(
    adata: AnnData, groupby: str, layer: str | None, balance: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Return dense values, labels and gene names of the cells to train on.

    Cells without a label are left out; with `balance`, each type is brought to that many cells.

    Raises
    ------
    DataError
        If fewer than two types are left, or values are NaN or infinite.
    """
    from adverscarial.datasets import balance as balanced

    check_genes(adata)
    labels = cluster_labels(adata, groupby)
    if len(cluster_names(labels)) < 2:
        raise DataError(
            f"obs['{groupby}'] names {len(cluster_names(labels))} cell type(s); training needs at least two."
        )
    known = labels != None  # noqa: E711  elementwise
    X = layer_of(adata, layer)
    CellMatrix(X).check_finite(adata)
    chosen = X[np.flatnonzero(known)]
    cells = AnnData(
        sp.csr_matrix(chosen) if sp.issparse(chosen) else np.asarray(chosen),
        obs=pd.DataFrame({"label": labels[known]}, index=adata.obs_names[known]),
        var=pd.DataFrame(index=adata.var_names.astype(str)),
    )
    if balance is not None:
        cells = balanced(cells, "label", balance, seed=seed)
    dense = CellMatrix(cells.X).rows(np.arange(cells.n_obs))
    return dense, cells.obs["label"].astype(str).to_numpy(), pd.Index(cells.var_names)
