"""Weighted sums of many cells: in parts that fit the cache, and how much rounding can hide in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

#: a query whose outcome hangs on less than this share of what was added up is summed anew
DOUBT = 1e-12
#: and so is one whose answer is this much smaller than what was added up: too few digits are left
_LOST = 1e-5
#: genes of a cluster, and cells, whose values fit into the processor's cache
GENES_AT_ONCE, _FEW = 256, 32
#: rows of a product that rounds as a larger one does
_BLOCK = 256
#: cells of so many genes that fit, too, beside the weights: a multiple of `_BLOCK`
_CELLS = 1024


def added_up(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return how much is added up for each cell and class, whatever cancels: ``abs(values) @ abs(weights)``."""
    sums, absolute = np.zeros((len(values), weights.shape[1])), np.abs(weights)
    if values.flags.f_contiguous and not values.flags.c_contiguous:
        for start in range(0, len(weights), GENES_AT_ONCE):
            some = slice(start, start + GENES_AT_ONCE)
            sums += np.abs(values[:, some]) @ absolute[some]
        return sums
    for start in range(0, len(values), _FEW):  # without a second array of the size of the first
        some = slice(start, start + _FEW)
        sums[some] = np.abs(values[some]) @ absolute
    return sums


def summed_with_size(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``values @ weights`` in float64, and how much was added up for it, whatever cancelled.

    Some genes of some cells at a time: no second array of the size of the first is made, and what is read is read once.
    The sums round as those of all cells at once.

    Examples
    --------
    >>> summed_with_size(np.array([[2.0, 1.0]], dtype=np.float32), np.array([[1.0], [-3.0]]))
    (array([[-1.]]), array([[5.]]))
    """
    sums, absolute = np.zeros((len(values), weights.shape[1])), np.abs(weights)
    size = np.zeros_like(sums)
    if not values.flags.f_contiguous and values.dtype == np.float64:
        for start in range(0, len(weights), GENES_AT_ONCE):
            some = slice(start, start + GENES_AT_ONCE)
            sums += values[:, some] @ weights[some]
        return sums, added_up(values, weights)
    parts = stretches(len(values)) if values.flags.f_contiguous else [slice(0, len(values))]
    for cells in parts:
        for start in range(0, len(weights), GENES_AT_ONCE):
            some = slice(start, start + GENES_AT_ONCE)
            part = values[cells, some].astype(np.float64)
            sums[cells] += part @ weights[some]
            size[cells] += np.abs(part, out=part) @ absolute[some]
    return sums, size


def stretches(n_cells: int) -> Iterator[slice]:
    """Yield stretches of cells that fit into the cache; the last one, which is no shorter, ends as all cells do."""
    for start in range(0, max(_CELLS, n_cells - _CELLS + 1), _CELLS):
        yield slice(start, n_cells if start + 2 * _CELLS > n_cells else start + _CELLS)


def summed_in_place(
    cells: np.ndarray, Z: np.ndarray, like: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Return the sums of some cells of a cluster, rounded as a prediction of the whole cluster rounds them.

    In which order a product adds up depends on its number of rows, on where a row stands, and on how the values lie in
    memory. That decides exact ties. So every cell is put where it stands in the cluster, or in a block that ends as the
    cluster does.

    Parameters
    ----------
    cells
        Where each row of `Z` stands in the cluster; a cell may come more than once.
    like
        Has as many rows as the cluster, and lies in memory as its values do when the classifier gets them.
    """
    n_cells = len(like)
    rest = n_cells % _BLOCK
    rows = n_cells if n_cells <= _BLOCK else _BLOCK + rest
    layout: Literal["C", "F"] = "C" if like.flags.c_contiguous else "F"
    own = cells if n_cells <= _BLOCK else cells % _BLOCK + _BLOCK * (cells >= n_cells - rest)
    order = np.argsort(own, kind="stable")
    first = np.searchsorted(own[order], own[order])
    turn = np.empty(len(cells), dtype=np.int64)  # how often the cell has come before
    turn[order] = np.arange(len(cells)) - first
    sums = np.empty((len(cells), weights.shape[1]))
    for k in range(turn.max(initial=-1) + 1):
        now = np.flatnonzero(turn == k)
        block = np.zeros((rows, Z.shape[1]), order=layout)
        block[own[now]] = Z[now]
        sums[now] = (block @ weights)[own[now]] + bias
    return sums


def gaps_of(sums: np.ndarray) -> np.ndarray:
    """Return by how much the best sum of each cell exceeds the second; a single sum, by how much it differs from 0."""
    best = np.partition(sums, -2, axis=1)[:, -2:] if sums.shape[1] > 1 else np.hstack([np.zeros_like(sums), sums])
    gaps: np.ndarray = np.abs(best[:, 1] - best[:, 0])
    return gaps


def in_doubt(sums: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return in which rows rounding may decide; `size` is how much was added up there, whatever cancelled."""
    unclear: np.ndarray = gaps_of(sums) <= DOUBT * size
    unclear |= np.abs(sums).max(axis=1) < _LOST * size
    return unclear
