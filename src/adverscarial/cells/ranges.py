"""What a cluster's cells have of each gene, in three numbers: the smallest value, the largest, and the mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Floats, Ints, Matrix
from adverscarial.cells.matrix import is_sparse

_CACHED = 2**17  # values that are summed at a time, about


class Ranges(NamedTuple):
    """Of each gene, float64, shape (genes,).

    Examples
    --------
    >>> Ranges.of(np.array([[0.0, 1.0], [4.0, 1.0]]))
    Ranges(lowest=array([0., 1.]), highest=array([4., 1.]), mean=array([2., 1.]))
    """

    lowest: Floats
    highest: Floats
    mean: Floats

    @classmethod
    def of(cls, X: Matrix) -> Self:
        """Return them for cells x genes; the mean of a gene with one value only is that value to the last bit."""
        if not is_sparse(X):
            return cls.over([X])
        X = sp.csc_array(X if X.has_canonical_format else X.copy())  # it would be put in order in place
        lowest, highest = (np.ravel(ends.toarray()) for ends in (X.min(axis=0), X.max(axis=0)))
        summed, step = np.empty(X.shape[1]), 1 + _CACHED * X.shape[1] // max(1, X.nnz)
        for start in range(0, X.shape[1], step):  # without a copy of all in float64
            some = slice(start, start + step)
            summed[some] = np.ravel(X[:, some].astype(np.float64).sum(axis=0))
        return cls._of_sums(lowest, highest, summed, X.shape[0])

    @classmethod
    def over(cls, parts: Iterable[np.ndarray]) -> Self:
        """Return them for cells x genes that come some cells at a time."""
        lowest, highest, summed, n_cells = np.array(np.inf), np.array(-np.inf), np.zeros(1), 0
        for part in parts:
            lowest, highest = np.minimum(lowest, part.min(axis=0)), np.maximum(highest, part.max(axis=0))
            summed = summed + part.sum(axis=0, dtype=np.float64)
            n_cells += len(part)
        return cls._of_sums(lowest, highest, summed, n_cells)

    @classmethod
    def _of_sums(cls, lowest: np.ndarray, highest: np.ndarray, summed: np.ndarray, n_cells: int) -> Self:
        with np.errstate(over="ignore"):
            mean = np.where(lowest == highest, lowest, summed / n_cells)
        return cls(lowest.astype(np.float64), highest.astype(np.float64), mean)

    def some(self, genes: Ints | slice) -> Self:
        """Return them for the genes at these positions."""
        return type(self)(*(values[genes] for values in self))

    def replaced(self, genes: np.ndarray, new: np.ndarray) -> Self:
        """Return them with new values of some genes, shape (cells or 1, genes)."""
        changed = [values.copy() for values in self]
        for values, put in zip(changed, type(self).of(new), strict=True):
            values[genes] = put
        return type(self)(*changed)
