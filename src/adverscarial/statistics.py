"""Per-gene statistics of a whole data set: extremes, quantiles, places in the sorted order.

Computed when first asked for, only for the genes asked for, block by block. Zeros of a sparse matrix are
counted, never stored: a gene is its sorted non-zero values plus a number of zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from adverscarial._matrix import CellMatrix
from adverscarial.errors import DataError

_BLOCK = 512  # genes made dense at a time


class GeneStatistics:
    """Statistics of each gene over all cells of a data set.

    Parameters
    ----------
    X
        Cells x genes, in any form that :class:`~adverscarial._matrix.CellMatrix` reads.

    Examples
    --------
    >>> statistics = GeneStatistics(np.array([[0.0, 1.0], [4.0, 1.0]]))
    >>> statistics.quantile(np.array([0, 1]), 0.25)
    array([1., 1.])
    """

    def __init__(self, X: Any) -> None:
        self.matrix = X if isinstance(X, CellMatrix) else CellMatrix(X)
        self.n_cells, self.n_genes = self.matrix.shape
        if self.n_cells == 0:
            raise DataError("The data set has no cells.")
        self._known: dict[float | str, np.ndarray] = {}
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None

    def minimum(self, genes: np.ndarray) -> np.ndarray:
        """Return the smallest value of each gene, shape (len(genes),)."""
        return self.quantile(genes, 0.0)

    def maximum(self, genes: np.ndarray) -> np.ndarray:
        """Return the largest value of each gene, shape (len(genes),)."""
        return self.quantile(genes, 1.0)

    def maximum_of_all(self) -> float:
        """Return the largest value of the data set."""
        X = self.matrix.X
        if isinstance(X, np.ndarray):
            return float(X.max())
        return float(self.maximum(np.arange(self.n_genes)).max())

    def quantile(self, genes: np.ndarray, q: float) -> np.ndarray:
        """Return the quantile `q` (0 to 1) of each gene, linear interpolation, zeros included.

        Equal to ``numpy.quantile(column, q)`` (R's type 7), shape (len(genes),), float64.
        """
        genes = np.asarray(genes, dtype=np.int64)
        known = self._known.setdefault(q, np.full(self.n_genes, np.nan))
        missing = genes[np.isnan(known[genes])]
        for start in range(0, len(missing), _BLOCK):
            block = missing[start : start + _BLOCK]
            starts, values = self._sorted_values(block)
            known[block] = _quantiles(starts, values, self.n_cells, q)
        if np.isnan(known[genes]).any():
            raise DataError("A gene holds NaN; attacks need numbers.")
        return known[genes]

    def shifted(self, genes: np.ndarray, values: np.ndarray, steps: int, *, reference: bool = False) -> np.ndarray:
        """Return each value moved `steps` places along its gene's sorted values.

        A value's place is the number of data-set values strictly below it, plus one; the answer is clamped to the
        gene's own minimum and maximum.

        Parameters
        ----------
        genes
            Positions, length k.
        values
            Values to move, shape (n, k).
        steps
            Places, positive towards the maximum.
        reference
            Move one place less, as the R code does (its decile+0 goes down one).
        """
        genes = np.asarray(genes, dtype=np.int64)
        out = np.empty(values.shape, dtype=np.float64)
        for start in range(0, len(genes), _BLOCK):
            part = slice(start, start + _BLOCK)
            starts, ordered = self._sorted_values(genes[part])
            moved = steps - 1 if reference else steps
            _shift(starts, ordered, self.n_cells, values[:, part].astype(np.float64), moved, out[:, part])
        return out

    def columns(self, genes: np.ndarray) -> np.ndarray:
        """Return whole genes, dense, shape (cells, len(genes))."""
        return self.matrix.columns(genes)

    def _sorted_values(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sorted non-zero values of `genes`, end to end, and where each gene starts."""
        if not self.matrix.sparse:
            columns = np.sort(np.ascontiguousarray(self.matrix.columns(genes).T), axis=1)
            return np.arange(len(genes) + 1, dtype=np.int64) * self.n_cells, columns.ravel()
        if self._sorted is None:
            csc = self.matrix.csc()
            starts = csc.indptr.astype(np.int64)
            self._sorted = starts, _sort_columns(starts, csc.data)
        starts, values = self._sorted
        lengths = starts[genes + 1] - starts[genes]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        pick = np.repeat(starts[genes] - ends[:-1], lengths) + np.arange(ends[-1])
        return ends, values[pick]


@njit(cache=True, nogil=True)
def _sort_columns(starts: np.ndarray, values: np.ndarray) -> np.ndarray:
    out = values.copy()
    for j in range(len(starts) - 1):
        out[starts[j] : starts[j + 1]] = np.sort(out[starts[j] : starts[j + 1]])
    return out


@njit(cache=True, nogil=True)
def _at(values: np.ndarray, negative: int, zeros: int, place: int) -> float:
    """Return the value at a place of the sorted gene, with its zeros between the negative and the positive values."""
    if place < negative:
        return values[place]
    if place < negative + zeros:
        return 0.0
    return values[place - zeros]


@njit(cache=True, nogil=True)
def _quantiles(starts: np.ndarray, values: np.ndarray, n: int, q: float) -> np.ndarray:
    out = np.empty(len(starts) - 1)
    low = int(np.floor(q * (n - 1)))
    high = min(low + 1, n - 1)
    share = q * (n - 1) - low
    for j in range(len(out)):
        gene = values[starts[j] : starts[j + 1]]
        negative = np.searchsorted(gene, 0.0)
        zeros = n - len(gene)
        a = np.float64(_at(gene, negative, zeros, low))
        b = np.float64(_at(gene, negative, zeros, high))
        # the two forms that numpy uses, so that both ends come out exact
        out[j] = b - (b - a) * (1.0 - share) if share >= 0.5 else a + (b - a) * share
    return out


@njit(cache=True, nogil=True)
def _shift(starts: np.ndarray, ordered: np.ndarray, n: int, values: np.ndarray, steps: int, out: np.ndarray) -> None:
    for j in range(values.shape[1]):
        gene = ordered[starts[j] : starts[j + 1]]
        negative = np.searchsorted(gene, 0.0)
        zeros = n - len(gene)
        for c in range(values.shape[0]):
            below = np.searchsorted(gene, values[c, j])
            if values[c, j] > 0.0:
                below += zeros
            place = min(max(below + steps, 0), n - 1)
            out[c, j] = _at(gene, negative, zeros, place)
