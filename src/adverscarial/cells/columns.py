"""Where the genes of a data set stand in something that holds some of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints

_CACHED = 2**18  # dense values that are written while they lie in the cache


def positions_among(columns: Ints, n_genes: int) -> Ints:
    """Return for each gene of the data set where it stands among `columns`; -1 for genes that are not there.

    Parameters
    ----------
    columns
        Positions in the data set; negative ones stand for genes that it lacks.
    n_genes
        Genes of the data set.

    Examples
    --------
    >>> positions_among(np.array([2, -1, 0]), 4)
    array([ 2, -1,  0, -1])
    """
    positions = np.full(n_genes, -1, dtype=np.int64)
    there = np.flatnonzero(columns >= 0)
    positions[columns[there]] = there
    return positions


def as_slice(index: Ints) -> Ints | slice:
    """Return a slice for positions that follow each other, so that numpy need not gather them one by one.

    Examples
    --------
    >>> as_slice(np.array([4, 5, 6])), as_slice(np.array([4, 6]))
    (slice(4, 7, None), array([4, 6]))
    """
    start, n = (int(index[0]), len(index)) if len(index) else (0, 0)
    return slice(start, start + n) if np.array_equal(index, np.arange(start, start + n)) else index


def dense_columns(X: sp.csc_array, columns: Ints) -> np.ndarray:
    """Return some columns of a sparse matrix, dense, column after column in memory; without a sparse copy of all.

    Examples
    --------
    >>> dense_columns(sp.csc_array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), np.array([2, 0]))
    array([[1., 0.],
           [0., 3.]])
    """
    found = np.empty((X.shape[0], len(columns)), dtype=X.dtype, order="F")
    step = max(1, _CACHED // max(1, X.shape[0]))
    for start in range(0, len(columns), step):
        some = slice(start, start + step)
        X[:, columns[some]].toarray(out=found[:, some])
    return found


def values_now(
    X: np.ndarray, accepted: Mapping[int, np.ndarray], columns: Ints, cells: slice = slice(None)
) -> np.ndarray:
    """Return some columns of `X` as they stand after changes that were accepted, float64, shape (cells, columns).

    Parameters
    ----------
    X
        The cells before any change.
    accepted
        The new values of each column that was changed, shape (cells,) or (1,).
    columns
        Positions in `X`.
    cells
        Only these; all when left out.

    Examples
    --------
    >>> values_now(np.zeros((2, 3)), {2: np.array([5.0])}, np.array([0, 2]))
    array([[0., 5.],
           [0., 5.]])
    """
    now = X[cells, columns].astype(np.float64)
    for k in np.flatnonzero([int(column) in accepted for column in columns] if accepted else []):
        new = accepted[int(columns[k])]
        now[:, k] = new if len(new) == 1 else new[cells]
    return now
