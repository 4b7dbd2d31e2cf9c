"""Per-gene statistics of a whole data set: extremes, quantiles, places in the sorted order.

Computed when first asked for, only for the genes asked for, block by block. Zeros of a sparse matrix are
counted, never stored: a gene is its sorted distinct values and how often they occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adverscarial._ends import at_an_end
from adverscarial._matrix import CellMatrix
from adverscarial._runs import Runs, runs_of
from adverscarial._stream import FileRuns
from adverscarial.errors import DataError

_BLOCK = 512  # genes made dense at a time
_NAN = "A gene holds NaN; attacks need numbers."


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
        self._known: dict[float, np.ndarray] = {}
        self._runs: Runs | None = None
        self._file = FileRuns(self.matrix) if self.matrix.large_file else None

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
        missing = np.unique(genes[np.isnan(known[genes])])
        low = int(np.floor(q * (self.n_cells - 1)))
        high = min(low + 1, self.n_cells - 1)
        share = q * (self.n_cells - 1) - low
        for part, (a, b) in self._at(missing, low, high):
            # the two forms that numpy uses, so that both ends come out exact
            known[missing[part]] = b - (b - a) * (1.0 - share) if share >= 0.5 else a + (b - a) * share
        if np.isnan(known[genes]).any():
            raise DataError(_NAN)
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
        moved = steps - 1 if reference else steps
        for part, runs in self._blocks(genes):
            out[:, part] = runs.shifted(values[:, part].astype(np.float64), moved)
        return out

    def columns(self, genes: np.ndarray) -> np.ndarray:
        """Return whole genes, dense, shape (cells, len(genes))."""
        return self.matrix.columns(genes)

    def _at(self, genes: np.ndarray, *places: int) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Yield the values at some places of the sorted cells, for some of `genes` at a time, float64."""
        if self.matrix.sparse or self._file:
            for part, runs in self._blocks(genes):
                yield part, [runs.at(place) for place in places]
            return
        if isinstance(self.matrix.X, np.ndarray) and (values := at_an_end(self.matrix.X, genes, places)):
            yield slice(None), values
            return
        for part in _parts(len(genes)):
            last = self.n_cells - 1  # where NaN goes
            ordered = np.partition(self._genes_as_rows(genes[part]), (*places, last), axis=1)
            bad = np.where(np.isnan(ordered[:, last]), np.nan, 0.0)
            yield part, [ordered[:, place] + bad for place in places]

    def _blocks(self, genes: np.ndarray) -> Iterator[tuple[slice, Runs]]:
        """Yield the runs of some of `genes` at a time, and which of them they are."""
        for part, runs in self._read(genes):
            if np.isnan(runs.values[runs.starts[1:] - 1]).any():  # sorted behind all numbers
                raise DataError(_NAN)
            yield part, runs

    def _read(self, genes: np.ndarray) -> Iterator[tuple[slice, Runs]]:
        if self._file:
            yield from self._file.blocks(genes)
            return
        if self.matrix.sparse and self._runs is None:
            csc = self.matrix.csc()
            self._runs = runs_of(csc.indptr.astype(np.int64), csc.data.copy(), self.n_cells)
        for part in _parts(len(genes)):
            if self._runs is not None:
                yield part, self._runs.pick(genes[part])
            else:
                rows = self._genes_as_rows(genes[part])
                starts = np.arange(len(rows) + 1, dtype=np.int64) * self.n_cells
                yield part, runs_of(starts, rows.ravel(), self.n_cells)

    def _genes_as_rows(self, genes: np.ndarray) -> np.ndarray:
        return np.array(self.matrix.columns(genes).T, order="C")  # a copy: it will be sorted


def _parts(n_genes: int) -> Iterator[slice]:
    for start in range(0, n_genes, _BLOCK):
        yield slice(start, min(start + _BLOCK, n_genes))
