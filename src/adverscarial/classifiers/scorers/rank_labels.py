"""What CHETAH calls cells, from scratch: ranks are counted, not sorted, and only where a cell walks.

A cell's values over all genes that are read are sorted once, and each replaced by its number among the cell's different
values. The ranks of a list are then counts of these numbers. They are the same whole numbers that sorting the list
gives, so that the labels are the same to the last bit (see :mod:`adverscarial.classifiers.scorers.ranks`).
"""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.ranks import Model, _rho, _score, _sums, branch

_FEW = 8  # different values per gene of a list, up to which counting beats sorting


@compiled
def _number(cell: np.ndarray, numbers: np.ndarray) -> int:
    """Fill `numbers` with each value's number among the different ones, in rising order; return how many there are.

    Most counts are 0, so the smallest value is set aside before the others are sorted.
    """
    smallest = cell.min()
    above = np.flatnonzero(cell != smallest)
    order = np.argsort(cell[above])
    numbers[:] = 0
    found, last = 0, smallest
    for k in order:
        value = cell[above[k]]
        if value != last:
            found, last = found + 1, value
        numbers[above[k]] = found
    return found + 1


@compiled
def _counted(
    numbers: np.ndarray, n_numbers: int, pair: int, model: Model, counts: np.ndarray, sums: np.ndarray
) -> float:
    """Return a cell's correlation with one profile, given the numbers of its values; `counts`, `sums`: to work in."""
    n = model.lists.shape[1]
    counts[:n_numbers] = 0
    sums[:n_numbers] = 0
    for place in range(n):
        number = numbers[model.lists[pair, place]]
        counts[number] += 1
        sums[number] += model.ranks[pair, place]
    product, ties, below = 0, 0, 0
    for number in range(n_numbers):
        size = counts[number]
        product += (2 * below + size + 1) * sums[number]
        ties += size * size * size - size
        below += size
    return _rho(product, ties, model.power[pair], n)


@compiled
def _sorted(cell: np.ndarray, pair: int, model: Model) -> float:
    """Return the same by sorting, for cells with very many different values."""
    n = model.lists.shape[1]
    values, sums = np.empty(n), np.zeros(n + 1, dtype=np.int64)
    for place in range(n):
        values[place] = cell[model.lists[pair, place]]
    order = np.argsort(values)
    for i in range(n):
        sums[i + 1] = sums[i] + model.ranks[pair, order[i]]
    product, ties = _sums(values[order], sums)
    return _rho(product, ties, model.power[pair], n)


@compiled
def codes(X: np.ndarray, model: Model, threshold: float, n_classes: int) -> np.ndarray:
    """Return one code per cell, as :func:`~adverscarial.classifiers.scorers.ranks.walk` does, from values.

    Parameters
    ----------
    X
        Cells x the classifier's genes, float64, no NaN.
    """
    n_genes = X.shape[1]
    numbers, counts, sums = np.empty(n_genes, np.int64), np.empty(n_genes, np.int64), np.empty(n_genes, np.int64)
    scores = np.empty(len(model.power))
    found = np.empty(len(X), dtype=np.int64)
    for cell in range(len(X)):
        n_numbers = _number(X[cell], numbers)
        by_count = n_numbers <= _FEW * model.lists.shape[1]
        node = 0
        while True:
            start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
            for pair in range(start, end):
                rho = (
                    _counted(numbers, n_numbers, pair, model, counts, sums)
                    if by_count
                    else _sorted(X[cell], pair, model)
                )
                scores[pair] = _score(rho, pair, model)
            best, lead = branch(scores, start, split, end)
            if lead < threshold:
                found[cell] = n_classes + node
                break
            below = model.child[node, 0 if best < split else 1]
            if below < 0:
                found[cell] = model.pair_type[best]
                break
            node = below
    return found
