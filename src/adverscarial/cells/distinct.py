"""Genes as sorted distinct values, each with the number of cells at or below it.

This is all that extremes, quantiles and ranks in the sorted order need, and it is exact. Counts, and logarithms of
counts, take few distinct values, so it stays small however many cells there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from adverscarial._compiled import compiled
from adverscarial._types import Floats, Ints

_CACHED = 2**18  # values that are sorted while they lie in the cache


class DistinctValues(NamedTuple):
    """The distinct values of some genes, one gene after the other.

    Attributes
    ----------
    starts
        Where each gene starts, and where the last one ends, shape (genes + 1,).
    values
        Distinct values of each gene, ascending; zeros that a sparse matrix leaves out are among them.
    counts
        How many cells have this value or a smaller one, int64.

    Examples
    --------
    >>> distinct_values(np.array([0, 3]), np.array([2.0, -1.0, 2.0]), n_cells=7)
    DistinctValues(starts=array([0, 3]), values=array([-1.,  0.,  2.]), counts=array([1, 5, 7]))
    """

    starts: np.ndarray
    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def joined(cls, several: Sequence[DistinctValues]) -> DistinctValues:
        """Return the distinct values of several groups of genes, one group after the other.

        Examples
        --------
        >>> one = distinct_values(np.array([0, 2]), np.array([2.0, 1.0]), n_cells=2)
        >>> DistinctValues.joined([one, one])
        DistinctValues(starts=array([0, 2, 4]), values=array([1., 2., 1., 2.]), counts=array([1, 2, 1, 2]))
        """
        lengths = np.concatenate([np.diff(one.starts) for one in several])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        values, counts = (np.concatenate([one[part] for one in several]) for part in (1, 2))
        return cls(starts, values, counts)

    def pick(self, genes: np.ndarray) -> DistinctValues:
        """Return the distinct values of the genes at these positions, in this order."""
        lengths = self.starts[genes + 1] - self.starts[genes]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        picked = np.repeat(self.starts[genes] - starts[:-1], lengths) + np.arange(starts[-1])
        return DistinctValues(starts, self.values[picked], self.counts[picked])

    def at(self, rank: int | Ints) -> Floats:
        """Return the value at a rank (from 0) among each gene's sorted cells, shape (genes,).

        One rank for all genes, or one for each.
        """
        low, high = self.starts[:-1].copy(), self.starts[1:].copy()
        while (within := low < high).any():  # a few steps of all genes together; a loop would have to be compiled
            middle = np.where(within, (low + high) // 2, 0)
            before = within & (self.counts[middle] <= rank)
            low, high = np.where(before, middle + 1, low), np.where(within & ~before, middle, high)
        found: Floats = self.values[low].astype(np.float64)
        return found

    def up_to(self, values: np.ndarray) -> Ints:
        """Return how many cells have the value given for their gene, or a smaller one, shape (genes,)."""
        return _up_to(self.starts, self.values, self.counts, values)

    def without(self, values: np.ndarray) -> DistinctValues:
        """Return the same without some of the cells, whose values are given, shape (these cells, genes).

        A value that no cell has any more stays among the values, with as many cells at or below it as before it.
        """
        return DistinctValues(self.starts, self.values, _without(self.starts, self.values, self.counts, values))

    def shifted(self, values: np.ndarray, steps: int) -> Floats:
        """Return each value moved `steps` ranks along its gene's sorted cells, clamped to the first and the last.

        A value's rank is the number of cells strictly below it; `values` has the shape (any, genes).
        """
        return _shifted(self.starts, self.values, self.counts, values, steps)


def distinct_values(starts: np.ndarray, values: np.ndarray, n_cells: int) -> DistinctValues:
    """Return the distinct values of genes from all their values, one gene after the other.

    Within a gene the values come in any order; they are sorted in place. Where a gene has fewer than `n_cells` values,
    the missing ones count as zeros.
    """
    for first, last in pairwise(starts.tolist()):
        values[first:last].sort()
    found = DistinctValues(np.zeros(len(starts), np.int64), np.empty(0, values.dtype), np.empty(0, np.int64))
    _fill(starts, values, n_cells, *found, False)
    size = found.starts[-1]
    found = DistinctValues(found.starts, np.empty(size, values.dtype), np.empty(size, np.int64))
    _fill(starts, values, n_cells, *found, True)
    return found


def distinct_of_sparse(csc: sp.csc_array) -> DistinctValues:
    """Return the distinct values of all genes of a sparse matrix, whose values are copied some genes at a time.

    Examples
    --------
    >>> distinct_of_sparse(sp.csc_array([[0.0, 2.0], [3.0, 2.0]]))
    DistinctValues(starts=array([0, 2, 3]), values=array([0., 3., 2.]), counts=array([1, 2, 2]))
    """
    starts, blocks, first = csc.indptr.astype(np.int64), list[DistinctValues](), 0
    while not blocks or first < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[first] + _CACHED, side="right")) - 1
        own = starts[first : max(first + 1, last) + 1]
        blocks.append(distinct_values(own - own[0], csc.data[own[0] : own[-1]].copy(), csc.shape[0]))
        first += len(own) - 1
    return DistinctValues.joined(blocks)


@compiled
def _fill(
    starts: np.ndarray, ordered: np.ndarray, n_cells: int, firsts: np.ndarray, values: np.ndarray, counts: np.ndarray,
    written: bool,
) -> None:  # fmt: skip
    """Set where the distinct values of each gene start; and, if they are to be written, the values and their counts.

    Both are one loop, called twice: a loop of its own for the counting would have to be compiled as well.
    """
    for j in range(len(starts) - 1):
        at = firsts[j] - 1
        below = 0
        zeros = n_cells - (starts[j + 1] - starts[j])  # those not written down
        for i in range(starts[j], starts[j + 1] + 1):
            last = i == starts[j + 1]
            new = i == starts[j] or (not last and ordered[i] != ordered[i - 1])
            if zeros and (last or ordered[i] >= 0.0):
                at += 1
                below += zeros
                zeros = 0
                new = last or ordered[i] > 0.0  # else it is one more zero
                if written:
                    values[at], counts[at] = 0.0, below
            if last:
                break
            below += 1
            if new:
                at += 1
                if written:
                    values[at] = ordered[i]
            if written:
                counts[at] = below
        firsts[j + 1] = at + 1


@compiled
def _up_to(starts: np.ndarray, values: np.ndarray, counts: np.ndarray, limits: np.ndarray) -> Ints:
    out = np.zeros(len(starts) - 1, dtype=np.int64)
    for j in range(len(out)):
        found = np.searchsorted(values[starts[j] : starts[j + 1]], limits[j], side="right")
        if found:
            out[j] = counts[starts[j] + found - 1]
    return out


@compiled
def _without(starts: np.ndarray, values: np.ndarray, counts: np.ndarray, leaving: np.ndarray) -> np.ndarray:
    out = counts.copy()
    for j in range(leaving.shape[1]):
        own = values[starts[j] : starts[j + 1]]
        left = np.zeros(len(own), dtype=np.int64)
        for c in range(len(leaving)):
            left[np.searchsorted(own, leaving[c, j])] += 1
        out[starts[j] : starts[j + 1]] -= np.cumsum(left)
    return out


@compiled
def _shifted(starts: np.ndarray, values: np.ndarray, counts: np.ndarray, moving: np.ndarray, steps: int) -> Floats:
    out = np.empty(moving.shape)
    for j in range(moving.shape[1]):
        own, upto = values[starts[j] : starts[j + 1]], counts[starts[j] : starts[j + 1]]
        for c in range(len(moving)):
            found = np.searchsorted(own, moving[c, j])
            below = upto[found - 1] if found else 0
            rank = min(max(below + steps, 0), upto[-1] - 1)
            out[c, j] = own[np.searchsorted(upto, rank, side="right")]
    return out
