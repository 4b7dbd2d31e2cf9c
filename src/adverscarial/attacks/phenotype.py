"""How far each gene goes with a feature of the cells: a score in obs, a set of genes, or a user's own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._types import Floats, Ints
from adverscarial.cells.cluster import gene_positions
from adverscarial.cells.matrix import CellMatrix
from adverscarial.errors import DataError, did_you_mean, some

#: a column of obs; names of genes; or a number for each gene
Phenotype: TypeAlias = str | Sequence[str] | Mapping[str, float] | pd.Series


def gene_scores(phenotype: Mapping[str, float] | pd.Series, names: pd.Index) -> Floats:
    """Return the user's number of each gene of the data, NaN where there is none.

    Raises
    ------
    DataError
        If a gene is not in the data, or its number is no number.
    """
    given = pd.Series(phenotype)
    positions = gene_positions(names, given.index)
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(f"phenotype= has no finite number for {some(given.index[~np.isfinite(numbers)])}.")
    found = np.full(len(names), np.nan)
    found[positions] = numbers
    return found


def cell_scores(
    adata: AnnData, phenotype: str | Sequence[str], matrix: CellMatrix, names: pd.Index, cells: np.ndarray
) -> tuple[Ints, Floats]:
    """Return the cells that have a score, some of `cells`, and the score of each.

    Raises
    ------
    DataError
        If the column is absent or holds no numbers, a gene is not in the data, or all cells have the same score.
    """
    if isinstance(phenotype, str):
        score = _column(adata, phenotype)[cells]
        what = f"obs['{phenotype}']"
    else:
        values = matrix.columns(gene_positions(names, phenotype))[cells].astype(np.float64)
        score, what = _standard(values.T).mean(axis=0), f"the mean of {some(phenotype)}"
    known = np.isfinite(score)
    if known.sum() < 2 or np.ptp(score[known]) == 0:
        raise DataError(f"{what} is the same in all cells that have a value and a cluster, so no gene goes with it.")
    return cells[known], score[known]


def correlations(values: np.ndarray, score: np.ndarray) -> Floats:
    """Return the Pearson correlation of each row of `values` (genes x cells) with a score; 0 for a constant gene.

    >>> correlations(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), np.array([0.0, 1.0, 2.0])).round(6)
    array([ 1., -1.,  0.])
    """
    found: Floats = _standard(values) @ _standard(score[None])[0] / len(score)
    return found


def _column(adata: AnnData, name: str) -> Floats:
    if name not in adata.obs:
        known = list(adata.obs.columns)
        raise DataError(
            f"phenotype='{name}' is no column of obs.{did_you_mean(name, known)} There are: {some(known, 10)}. "
            "A set of genes is given as a list of several names."
        )
    column = pd.to_numeric(adata.obs[name], errors="coerce")
    if column.isna().sum() > adata.obs[name].isna().sum():
        raise DataError(f"obs['{name}'] holds text. A phenotype is a number for each cell, such as a module score.")
    return np.asarray(column, dtype=np.float64)


def _standard(values: np.ndarray) -> Floats:
    """Return rows with mean 0 and standard deviation 1; rows of one value become 0."""
    centred = values - values.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    constant = np.ptp(values, axis=1)[:, None] == 0
    found: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=~constant & (spread > 0))
    return found
