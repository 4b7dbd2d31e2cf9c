"""Genes as sorted distinct values, each with the number of cells at or below it.

This is all that extremes, quantiles and ranks in the sorted order need, and it is exact. Counts, and logarithms of
counts, take few distinct values, so it stays small however many cells there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    return DistinctValues.joined([_distinct(values[own[0] : own[-1]], own - own[0], n_cells) for own in _parts(starts)])


def distinct_of_sparse(csc: sp.csc_array) -> DistinctValues:
    """Return the distinct values of all genes of a sparse matrix, whose values are copied some genes at a time.

    Examples
    --------
    >>> distinct_of_sparse(sp.csc_array([[0.0, 2.0], [3.0, 2.0]]))
    DistinctValues(starts=array([0, 2, 3]), values=array([0., 3., 2.]), counts=array([1, 2, 2]))
    """
    parts = _parts(csc.indptr.astype(np.int64))
    return DistinctValues.joined(
        [_distinct(csc.data[own[0] : own[-1]].copy(), own - own[0], csc.shape[0]) for own in parts]
    )


def _parts(starts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield for some genes at a time, at least one, where the values of each begin, and those of the last end."""
    first = 0
    while first < max(1, len(starts) - 1):
        last = int(np.searchsorted(starts, starts[first] + _CACHED, side="right")) - 1
        own = starts[first : max(first + 1, last) + 1]
        yield own
        first += max(1, len(own) - 1)


def _distinct(values: np.ndarray, starts: np.ndarray, n_cells: int) -> DistinctValues:
    """Return the distinct values of some genes; their values are sorted in place. With numpy, nothing is compiled."""
    for start, end in pairwise(starts.tolist()):
        values[start:end].sort()
    missing = n_cells - np.diff(starts)  # zeros that are not written down
    new = np.empty(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    new[starts[:-1][starts[:-1] < starts[1:]]] = True
    begins = np.flatnonzero(new)
    first = np.searchsorted(begins, starts)
    lengths, found = np.diff(first), values[begins]
    counts = np.append(begins[1:], len(values))[: len(begins)] - np.repeat(starts[:-1] - missing, lengths)
    if missing.any():
        below, zero = np.flatnonzero(found < 0), np.flatnonzero(found == 0)
        counts[below] -= missing[np.searchsorted(first, below, side="right") - 1]
        owner = np.searchsorted(first, zero, side="right") - 1
        found[zero[missing[owner] > 0]] = 0.0  # not -0.0
        lacking = missing > 0
        lacking[owner] = False
        smaller = np.diff(np.searchsorted(below, first))[lacking]
        at, cells, some = first[:-1][lacking] + smaller, missing[lacking], smaller > 0
        cells[some] += counts[at[some] - 1]
        lengths[lacking] += 1
        found, counts = np.insert(found, at, 0), np.insert(counts, at, cells)
    return DistinctValues(np.append(0, np.cumsum(lengths)), found, counts)


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
