"""Small counts, made by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial.stresses.cells import CountCells

#: a change of each kind that small data allow
CHANGES: tuple[adv.stresses.Change, ...] = (
    adv.stresses.Depth(),
    adv.stresses.Dropouts(),
    adv.stresses.Ambient(),
    adv.stresses.Doublets(),
    adv.stresses.BatchShift("a", "b"),
    adv.stresses.MissingGenes(),
    adv.stresses.Dissociation(("g1", "g2")),
    adv.stresses.Swapping(),
)


def count_data(n: int = 90, genes: int = 30, seed: int = 0) -> AnnData:
    """Return counts of three types in two batches; gene 0 is high in B, gene 5 in batch b."""
    rng = np.random.default_rng(seed)
    types, batches = np.array(["B", "NK", "T"])[np.arange(n) % 3], np.array(["a", "b"])[np.arange(n) // 3 % 2]
    mean = rng.gamma(1.0, 2.0, genes)[None, :] * rng.uniform(0.5, 2.0, (n, 1))
    mean[types == "B", 0] += 20
    mean[batches == "b", 5] += 10
    obs = pd.DataFrame({"cell_type": types, "batch": batches}, index=[f"cell{k}" for k in range(n)])
    counts = sp.csr_matrix(rng.poisson(mean).astype(np.int32))
    return AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{k}" for k in range(genes)]))


def as_cells(adata: AnnData) -> CountCells:
    """Return the counts as changes see them."""
    obs = adata.obs.astype(object)
    genes = pd.Index(adata.var_names)
    return CountCells(
        sp.csr_array(adata.X, dtype=np.int64), genes, obs["cell_type"].to_numpy(), obs["batch"].to_numpy()
    )


def rows_of(cells: CountCells, change: adv.stresses.Change, cluster: str = "B") -> np.ndarray:
    """Return the cells of a cluster that a change concerns."""
    return change.concerned(cells, np.flatnonzero(cells.clusters == cluster))


def high(X: np.ndarray) -> np.ndarray:
    """Label cells by the first count."""
    return np.where(X[:, 0] > 12, "B", "T")


def most(X: np.ndarray) -> np.ndarray:
    """Label cells by their largest count."""
    return np.where(X.argmax(axis=1) == 0, "B", "NK")
