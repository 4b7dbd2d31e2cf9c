"""The few largest or smallest values of each gene, in one walk through the cells.

The 1st and the 99th percentile of some thousand cells lie a dozen values from an end: keeping those is about three
times as fast as partitioning every gene, and the matrix is read once, in its own order.
"""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled, compiled_within
from adverscarial._types import Floats

_MOST = 32  # values that are kept for each gene; beyond, partitioning is faster
_BLOCK = 512  # genes that are walked together; a multiple of 8
_FIRST = 128  # cells of which most are kept at first


def at_an_end(X: np.ndarray, ranks: tuple[int, ...]) -> list[Floats] | None:
    """Return the values at some ranks among each gene's sorted cells, one array (genes,) per rank.

    The values must be finite. The answer is None where the ranks lie too far from both ends, or where the matrix is not
    laid out for this.

    Examples
    --------
    >>> at_an_end(np.array([[3.0, 0.0], [1.0, 5.0], [2.0, 4.0]]), (1,))
    [array([2., 4.])]
    """
    n_cells = len(X)
    if X.dtype not in (np.float32, np.float64) or not X.flags.c_contiguous:
        return None
    if (kept := n_cells - min(ranks)) <= _MOST:
        largest = _largest(X, kept, X.dtype.type(1)).astype(np.float64)
        return [largest[:, rank - n_cells + kept] for rank in ranks]
    if (kept := max(ranks) + 1) <= _MOST:
        smallest = _largest(X, kept, X.dtype.type(-1)).astype(np.float64)
        return [-smallest[:, kept - 1 - rank] for rank in ranks]
    return None


@compiled
def _largest(X: np.ndarray, kept: int, sign: float) -> np.ndarray:
    """Return the largest values of each gene times `sign`, ascending, shape (genes, kept)."""
    best = np.empty((X.shape[1], kept), dtype=X.dtype)
    above = np.zeros(_BLOCK, dtype=np.uint8)
    words = above.view(np.uint64)  # eight genes are looked at in one go
    for start in range(0, X.shape[1], _BLOCK):
        rows = best[start : start + _BLOCK]
        least = _among_first(X, start, rows, sign)
        above[:] = 0
        for c in range(_FIRST, len(X)):
            cell = X[c, start : start + _BLOCK]
            for j in range(len(cell)):
                above[j] = sign * cell[j] > least[j]
            for word in range(len(words)):
                if words[word] == 0:
                    continue
                for j in range(8 * word, 8 * word + 8):
                    if above[j] == 0:
                        continue
                    row, value, k = rows[j], sign * cell[j], 0
                    while k + 1 < kept and row[k + 1] < value:
                        row[k] = row[k + 1]
                        k += 1
                    row[k] = value
                    least[j] = row[0]
    return best


@compiled_within
def _among_first(X: np.ndarray, start: int, rows: np.ndarray, sign: float) -> np.ndarray:
    """Fill `rows`, shape (genes, kept), with the largest values of the first cells; return the least that is kept.

    Among the first cells nearly every value is kept for a while. Without a branch, several genes go at once.
    """
    n_genes, kept = rows.shape
    best = np.full((kept + 1, n_genes), -np.inf, dtype=X.dtype)
    best[kept] = np.inf
    for c in range(min(_FIRST, len(X))):
        cell = X[c, start : start + n_genes]
        for k in range(kept):
            row, above = best[k], best[k + 1]
            for j in range(n_genes):
                value = sign * cell[j]
                low = above[j] if above[j] < value else value
                row[j] = row[j] if row[j] > low else low
    for j in range(n_genes):
        for k in range(kept):
            rows[j, k] = best[k, j]
    least: np.ndarray = best[0]
    return least
