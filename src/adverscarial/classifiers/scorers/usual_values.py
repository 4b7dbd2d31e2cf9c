"""Values of genes that are the same in most cells: one usual value for each gene, and the cells with another one.

Of sparse data, most cells have one value of a gene, so a change to one value is one step in all of them. A sum over
cells then costs as much as there are other cells, some percent of all.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from adverscarial._compiled import compiled
from adverscarial._types import Floats

_FEW = 4  # one in so many values, beyond which it is as quick to multiply them all
_BLOCK = 256  # genes that are looked through together, so that they stay in the processor's cache


class UsualValues(NamedTuple):
    """Values of cells x genes.

    Attributes
    ----------
    usual
        Of each gene.
    start, cells, more
        Where the exceptions of each gene begin, of which cells they are, and by how much they exceed the usual value.
    """

    usual: np.ndarray
    start: np.ndarray
    cells: np.ndarray
    more: np.ndarray

    def steps_to(self, genes: np.ndarray, new: np.ndarray) -> Self:
        """Return what is added to the values of some genes where every cell gets the same new one, shape (genes,)."""
        n = np.diff(self.start)[genes]
        start = np.concatenate([[0], np.cumsum(n)])
        there = np.repeat(self.start[genes] - start[:-1], n) + np.arange(start[-1])
        return type(self)(new - self.usual[genes], start, self.cells[there], -self.more[there])

    def weighted(self, weights: np.ndarray, units: np.ndarray) -> Floats:
        """Return ``sum over cells of value * (weights of the cell . units of the gene)`` for each gene.

        Parameters
        ----------
        weights
            Shape (cells, units).
        units
            Shape (genes, units).

        Examples
        --------
        >>> values = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 5.0], [1.0, 2.0]])
        >>> usual_values(values).weighted(np.ones((4, 1)), np.array([[1.0], [10.0]]))
        array([  4., 110.])
        """
        found: Floats = _weighted(*self, np.ascontiguousarray(weights), weights.sum(axis=0), units)
        return found


def usual_values(values: np.ndarray) -> UsualValues | None:
    """Return values, shape (cells, genes), in this form; None where too many cells have another than the usual one.

    The usual value is the smallest or the largest one, whichever more cells have: where a gene is silent, its value is
    the smallest, and a step from there to any other value the largest or smallest one.
    """
    parts = [_counted(values[:, start : start + _BLOCK]) for start in range(0, values.shape[1], _BLOCK)]
    usual, others = (np.concatenate(found) for found in zip(*parts, strict=True))
    if _FEW * others.sum() > values.size:
        return None
    start = np.concatenate([[0], np.cumsum(others)])
    cells, more = np.empty(start[-1], dtype=np.int32), np.empty(start[-1])
    _exceptions(values, usual, start[:-1].copy(), cells, more)
    return UsualValues(usual, start, cells, more)


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each gene's usual value, and how many cells have another one."""
    low, high = values.min(axis=0), values.max(axis=0)
    n_low, n_high = (np.count_nonzero(values == end, axis=0) for end in (low, high))
    usual = np.where(n_low >= n_high, low, high).astype(np.float64)
    return usual, len(values) - np.maximum(n_low, n_high)


@compiled
def _exceptions(values: np.ndarray, usual: np.ndarray, at: np.ndarray, cells: np.ndarray, more: np.ndarray) -> None:
    """Fill in the exceptions; those of a gene go where `at` says, which is moved on."""
    for first in range(0, len(usual), _BLOCK):
        for cell in range(len(values)):
            for gene in range(first, min(first + _BLOCK, len(usual))):
                value = values[cell, gene]
                if value != usual[gene]:
                    cells[at[gene]], more[at[gene]] = cell, value - usual[gene]
                    at[gene] += 1


# numba compiles arrays that are added as a whole, with their checks of shapes, for seconds, numbers in no time.
@compiled
def _weighted(
    usual: np.ndarray, start: np.ndarray, cells: np.ndarray, more: np.ndarray, weights: np.ndarray, total: np.ndarray,
    units: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return what :meth:`UsualValues.weighted` does; `total` is the sum of all cells' weights."""
    n_units = len(total)
    found, value = np.empty(len(usual)), np.empty(n_units)
    whole = n_units - n_units % 4
    for gene in range(len(usual)):
        for u in range(n_units):
            value[u] = usual[gene] * total[u]
        for k in range(start[gene], start[gene + 1]):
            cell, by = cells[k], more[k]
            for u in range(n_units):
                value[u] += by * weights[cell, u]
        a = b = c = d = 0.0
        for u in range(0, whole, 4):  # four sums, none of which waits for another
            a += value[u] * units[gene, u]
            b += value[u + 1] * units[gene, u + 1]
            c += value[u + 2] * units[gene, u + 2]
            d += value[u + 3] * units[gene, u + 3]
        for u in range(whole, n_units):
            a += value[u] * units[gene, u]
        found[gene] = (a + b) + (c + d)
    return found
