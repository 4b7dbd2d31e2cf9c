"""Per-gene statistics of a whole data set: extremes, quantiles, ranks in the sorted order.

Computed when first asked for, only for the genes asked for, block by block. Zeros of a sparse matrix are
counted, never stored: a gene is its sorted distinct values and how often they occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from adverscarial._types import Floats, Ints, Matrix
from adverscarial.cells.columns import dense_columns
from adverscarial.cells.distinct import DistinctValues, distinct_of_sparse, distinct_values
from adverscarial.cells.extremes import at_an_end, at_an_end_of_sparse
from adverscarial.cells.known_quantiles import tables_of
from adverscarial.cells.matrix import CellMatrix, is_sparse
from adverscarial.cells.streams import SortedFile
from adverscarial.errors import DataError

_BLOCK = 512  # genes made dense at a time
_FEW = 32  # genes that are sorted alone, before all of a sparse matrix are
_SOME = 8  # one in so many genes, up to which they are taken out of an array in memory
_ROOM = 8  # distinct values of all genes are kept where they are at most one in so many of all values
_NAN = "A gene holds NaN; attacks need numbers."


class GeneStatistics:
    """Statistics of each gene over all cells of a data set.

    Parameters
    ----------
    X
        Cells x genes, in any form that :class:`~adverscarial.cells.matrix.CellMatrix` reads.

    Examples
    --------
    >>> statistics = GeneStatistics(np.array([[0.0, 1.0], [4.0, 1.0]]))
    >>> statistics.quantile(np.array([0, 1]), 0.25)
    array([1., 1.])
    """

    def __init__(self, X: Matrix) -> None:
        self.matrix = X if isinstance(X, CellMatrix) else CellMatrix(X)
        self.n_cells, self.n_genes = self.matrix.shape
        if self.n_cells == 0:
            raise DataError("The data set has no cells.")
        self._known: dict[tuple[str, float], Floats] = {}
        self._values: DistinctValues | None = None
        self._asked = 0  # genes
        self._last: tuple[np.ndarray, DistinctValues] | None = None  # what was asked of few genes
        self._file = SortedFile(self.matrix) if self.matrix.large_file else None

    def minimum(self, genes: np.ndarray) -> Floats:
        """Return the smallest value of each gene, shape (len(genes),)."""
        return self.quantile(genes, 0.0)

    def maximum(self, genes: np.ndarray) -> Floats:
        """Return the largest value of each gene, shape (len(genes),)."""
        return self.quantile(genes, 1.0)

    def maximum_of_all(self) -> float:
        """Return the largest value of the data set."""
        X = self.matrix.X
        if isinstance(X, np.ndarray):
            largest = float(X.max())
            if not np.isfinite(largest):
                raise DataError(_NAN)
            return largest
        if is_sparse(X) and X.nnz and X.has_canonical_format:
            largest = float(X.data.max())
            if np.isnan(largest):
                raise DataError(_NAN)
            return max(largest, 0.0) if X.nnz < self.n_cells * self.n_genes else largest
        return float(self.maximum(np.arange(self.n_genes)).max())

    def quantile(self, genes: np.ndarray, q: float) -> Floats:
        """Return the quantile `q` (0 to 1) of each gene, linear interpolation, zeros included.

        Equal to ``numpy.quantile(column, q)`` (R's type 7), shape (len(genes),), float64.
        """
        low, high, share = _between(self.n_cells, q)

        def of(missing: np.ndarray, out: np.ndarray) -> None:
            for part, (a, b) in self._at(missing, int(low), int(high)):
                out[part] = _mixed(a, b, share)

        return self._kept("all", genes, q, of)

    def quantile_expressing(self, genes: np.ndarray, q: float) -> Floats:
        """Return the quantile `q` (0 to 1) of each gene over the cells that express it, shape (len(genes),), float64.

        A cell expresses a gene when its value is above 0; in data with negative values, such as z-scores, when it is
        above the gene's smallest value. A gene that no cell expresses has one value only, which is returned.
        """

        def of(missing: np.ndarray, out: np.ndarray) -> None:
            for part, values in self._blocks(missing):
                silent = values.up_to(np.minimum(values.at(0), 0.0))
                silent[silent == self.n_cells] = 0  # of one value only: any cell will do
                low, high, share = _between(self.n_cells - silent, q)
                out[part] = _mixed(values.at(silent + low), values.at(silent + high), share)

        return self._kept("expressing", genes, q, of)

    def quantile_without(self, genes: np.ndarray, q: float, values: np.ndarray) -> Floats:
        """Return the quantile `q` (0 to 1) of each gene over all cells but some, shape (len(genes),), float64.

        Parameters
        ----------
        genes
            Positions, length k.
        q
            From 0 to 1; linear interpolation, zeros included.
        values
            Values of the cells that are left out, as they are in the data, shape (n, k).
        """
        genes = np.asarray(genes, dtype=np.int64)
        out = np.empty(len(genes))
        low, high, share = _between(self.n_cells - len(values), q)
        for part, found in self._blocks(genes):
            rest = found.without(values[:, part])
            out[part] = _mixed(rest.at(low), rest.at(high), share)
        return out

    def _kept(
        self, over: str, genes: np.ndarray, q: float, compute: Callable[[np.ndarray, np.ndarray], None]
    ) -> Floats:
        """Return a quantile of each gene; those that are not known yet are computed, and kept."""
        genes = np.asarray(genes, dtype=np.int64)
        known = self._known.setdefault((over, q), np.full(self.n_genes, np.nan))
        wanted = np.zeros(self.n_genes, dtype=bool)
        wanted[genes] = True
        missing = np.flatnonzero(wanted & np.isnan(known))
        table = self._remembered(over, q, len(missing))
        known[missing] = table[missing]
        missing = missing[np.isnan(known[missing])]
        if len(missing):
            new = np.empty(len(missing))
            compute(missing, new)
            known[missing] = table[missing] = new
        if np.isnan(known[genes]).any():
            raise DataError(_NAN)
        found: Floats = known[genes]
        return found

    def _remembered(self, over: str, q: float, n_genes: int) -> Floats:
        """Return what an earlier attack has found in the same values, NaN elsewhere; what is found is written there.

        Not for a few genes, which are read sooner than all values. Nor where something was kept of the values as they
        were before: they may have been changed since.
        """
        fresh = self._values is None and not self.matrix.turned
        tables = tables_of(self.matrix.X) if fresh and _SOME * n_genes >= self.n_genes else None
        unknown = np.full(self.n_genes, np.nan)
        return unknown if tables is None else tables.setdefault((over, q), unknown)

    def shifted(self, genes: np.ndarray, values: np.ndarray, steps: int, *, reference: bool = False) -> Floats:
        """Return each value moved `steps` ranks along its gene's sorted values.

        A value's rank is the number of data-set values strictly below it, plus one; the answer is clamped to the
        gene's own minimum and maximum.

        Parameters
        ----------
        genes
            Positions, length k.
        values
            Values to move, shape (n, k).
        steps
            Number of ranks, positive towards the maximum.
        reference
            Move one rank less, as the R code does (its decile+0 goes down one).
        """
        genes = np.asarray(genes, dtype=np.int64)
        out = np.empty(values.shape, dtype=np.float64)
        moved = steps - 1 if reference else steps
        for part, found in self._blocks(genes):
            out[:, part] = found.shifted(values[:, part].astype(np.float64), moved)
        return out

    def columns(self, genes: np.ndarray) -> np.ndarray:
        """Return whole genes, dense, shape (cells, len(genes))."""
        return self.matrix.columns(genes)

    def columns_by_gene(self, genes: np.ndarray) -> np.ndarray:
        """Return the same, gene after gene in memory."""
        if self.matrix.sparse and not self.matrix.large_file and len(genes) > _FEW:
            return dense_columns(self.matrix.csc(), genes)
        return np.asfortranarray(self.matrix.columns(genes))

    def _at(self, genes: np.ndarray, *ranks: int) -> Iterator[tuple[slice, list[Floats]]]:
        """Yield the values at some ranks of the sorted cells, for some of `genes` at a time."""
        if ends := self._near_an_end(genes, ranks):
            yield slice(None), ends
            return
        if self.matrix.sparse or self._file:
            for part, values in self._blocks(genes):
                yield part, [values.at(rank) for rank in ranks]
            return
        for part in _parts(len(genes)):
            last = self.n_cells - 1  # where NaN goes
            ordered = np.partition(self._genes_as_rows(genes[part]), (*ranks, last), axis=1)
            bad = np.where(np.isnan(ordered[:, last]), np.nan, 0.0)
            yield part, [ordered[:, rank] + bad for rank in ranks]

    def _near_an_end(self, genes: np.ndarray, ranks: tuple[int, ...]) -> list[Floats] | None:
        """Return the values at some ranks, where they lie near an end, and a matrix in memory can be read for that."""
        X, many = self.matrix.X, _SOME * len(genes) >= self.n_genes
        if is_sparse(X):
            fresh = many and self._values is None and not self.matrix.turned  # else its genes are at hand
            ends = at_an_end_of_sparse(X, ranks) if fresh and self.matrix.finite() else None
        elif not isinstance(X, np.ndarray):
            return None
        elif many and self.matrix.finite():
            ends = at_an_end(X, ranks)
        else:  # the genes alone are looked through
            return at_an_end(np.ascontiguousarray(self.matrix.columns(genes)), ranks)
        return None if ends is None else [values[genes] for values in ends]

    def _blocks(self, genes: np.ndarray) -> Iterator[tuple[slice, DistinctValues]]:
        """Yield the distinct values of some of `genes` at a time, and which of `genes` they are of."""
        for part, found in self._read(genes):
            if np.isnan(found.values[found.starts[1:] - 1]).any():  # sorted behind all numbers
                raise DataError(_NAN)
            yield part, found

    def _read(self, genes: np.ndarray) -> Iterator[tuple[slice, DistinctValues]]:
        if self._file:
            yield from self._file.blocks(genes)
            return
        if self._last is not None and np.array_equal(genes, self._last[0]):  # the largest after the smallest value
            yield slice(None), self._last[1]
            return
        self._asked += len(genes)
        if self.matrix.sparse and self._values is None:
            if self._asked <= _FEW:  # to sort the values of all genes would take longer
                some = self.matrix.picked(genes)
                self._last = genes, distinct_values(some.indptr.astype(np.int64), some.data, self.n_cells)
                yield slice(None), self._last[1]
                return
            self._values = distinct_of_sparse(self.matrix.csc())
        if self._values is not None:
            for part in _parts(len(genes)):
                yield part, self._values.pick(genes[part])
            return
        blocks: list[DistinctValues] = []
        room = self.n_cells * self.n_genes // _ROOM
        for part in _parts(len(genes)):
            rows = self._genes_as_rows(genes[part])
            starts = np.arange(len(rows) + 1, dtype=np.int64) * self.n_cells
            found = distinct_values(starts, rows.ravel(), self.n_cells)
            room -= len(found.values)
            blocks = [*blocks, found] if room >= 0 else []
            yield part, found
        if room >= 0 and np.array_equal(genes, np.arange(self.n_genes)):
            self._values = DistinctValues.joined(blocks)

    def _genes_as_rows(self, genes: np.ndarray) -> np.ndarray:
        return np.array(self.matrix.columns(genes).T, order="C")  # a copy: it will be sorted


def _parts(n_genes: int) -> Iterator[slice]:
    for start in range(0, n_genes, _BLOCK):
        yield slice(start, min(start + _BLOCK, n_genes))


def _between(n_cells: int | Ints, q: float) -> tuple[Ints, Ints, Floats]:
    """Return the two ranks of sorted cells that a quantile lies between, and where between them (0 to 1).

    Of one number of cells, or of one for each gene.
    """
    last = np.asarray(n_cells, dtype=np.int64) - 1
    rank = np.asarray(q * last)
    low: Ints = np.floor(rank).astype(np.int64)
    return low, np.asarray(np.minimum(low + 1, last)), np.asarray(rank - low)


def _mixed(a: Floats, b: Floats, share: Floats) -> Floats:
    """Return what lies between `a` and `b`, in the two forms that numpy uses, so that both ends come out exact."""
    return np.where(share >= 0.5, b - (b - a) * (1.0 - share), a + (b - a) * share)
