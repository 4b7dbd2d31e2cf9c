"""Genes as sorted distinct values, each with the number of cells at or below it.

This is all that extremes, quantiles and places in the sorted order need, and it is exact. Counts, and logarithms of
counts, take few distinct values, so it stays small however many cells there are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit


class Runs(NamedTuple):
    """Some genes, end to end.

    Attributes
    ----------
    starts
        Where each gene starts, and where the last one ends, shape (genes + 1,).
    values
        Distinct values of each gene, ascending; zeros that a sparse matrix leaves out are among them.
    ends
        How many cells have this value or a smaller one, int64.

    Examples
    --------
    >>> runs_of(np.array([0, 3]), np.array([2.0, -1.0, 2.0]), n_cells=7)
    Runs(starts=array([0, 3]), values=array([-1.,  0.,  2.]), ends=array([1, 5, 7]))
    """

    starts: np.ndarray
    values: np.ndarray
    ends: np.ndarray

    def pick(self, genes: np.ndarray) -> Runs:
        """Return the runs of the genes at these positions, in this order."""
        lengths = self.starts[genes + 1] - self.starts[genes]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.starts[genes] - starts[:-1], lengths) + np.arange(starts[-1])
        return Runs(starts, self.values[places], self.ends[places])

    def at(self, place: int) -> np.ndarray:
        """Return the value at a place (from 0) of each gene's sorted cells, float64, shape (genes,)."""
        return _at(self.starts, self.values, self.ends, place)

    def shifted(self, values: np.ndarray, steps: int) -> np.ndarray:
        """Return each value moved `steps` places along its gene's sorted cells, clamped to the first and the last.

        A value's place is the number of cells strictly below it; `values` has the shape (any, genes).
        """
        return _shifted(self.starts, self.values, self.ends, values, steps)


def runs_of(starts: np.ndarray, values: np.ndarray, n_cells: int) -> Runs:
    """Return the runs of genes from their values, end to end in any order; `values` is sorted in place.

    What is missing to `n_cells` values counts as zeros.
    """
    for first, last in pairwise(starts.tolist()):
        values[first:last].sort()
    firsts = _count(starts, values, n_cells)
    runs = Runs(firsts, np.empty(firsts[-1], dtype=values.dtype), np.empty(firsts[-1], dtype=np.int64))
    _fill(starts, values, n_cells, *runs)
    return runs


@njit(cache=True, nogil=True)
def _count(starts: np.ndarray, ordered: np.ndarray, n_cells: int) -> np.ndarray:
    """Return where the runs of each gene will start."""
    firsts = np.zeros(len(starts), dtype=np.int64)
    for j in range(len(starts) - 1):
        runs = 0
        zero = starts[j + 1] - starts[j] < n_cells
        for i in range(starts[j], starts[j + 1]):
            if ordered[i] == 0.0:
                zero = True
            elif i == starts[j] or ordered[i] != ordered[i - 1]:
                runs += 1
        firsts[j + 1] = firsts[j] + runs + zero
    return firsts


@njit(cache=True, nogil=True)
def _fill(
    starts: np.ndarray, ordered: np.ndarray, n_cells: int, firsts: np.ndarray, values: np.ndarray, ends: np.ndarray
) -> None:
    for j in range(len(starts) - 1):
        at = firsts[j] - 1
        below = 0
        zeros = n_cells - (starts[j + 1] - starts[j])  # those not written down
        for i in range(starts[j], starts[j + 1] + 1):
            last = i == starts[j + 1]
            if zeros and (last or ordered[i] >= 0.0):
                at += 1
                below += zeros
                values[at], ends[at], zeros = 0.0, below, 0
            if last:
                break
            if at < firsts[j] or ordered[i] != values[at]:
                at += 1
                values[at] = ordered[i]
            below += 1
            ends[at] = below


@njit(cache=True, nogil=True)
def _at(starts: np.ndarray, values: np.ndarray, ends: np.ndarray, place: int) -> np.ndarray:
    out = np.empty(len(starts) - 1)
    for j in range(len(out)):
        run = np.searchsorted(ends[starts[j] : starts[j + 1]], place, side="right")
        out[j] = values[starts[j] + run]
    return out


@njit(cache=True, nogil=True)
def _shifted(starts: np.ndarray, values: np.ndarray, ends: np.ndarray, moving: np.ndarray, steps: int) -> np.ndarray:
    out = np.empty(moving.shape)
    for j in range(moving.shape[1]):
        own, upto = values[starts[j] : starts[j + 1]], ends[starts[j] : starts[j + 1]]
        for c in range(len(moving)):
            run = np.searchsorted(own, moving[c, j])
            below = upto[run - 1] if run else 0
            place = min(max(below + steps, 0), upto[-1] - 1)
            out[c, j] = own[np.searchsorted(upto, place, side="right")]
    return out
