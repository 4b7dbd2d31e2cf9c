"""Rank correlations of cells with many reference cells, and what one changed gene does to all of them.

A changed gene leaves its place among a cell's sorted genes and enters another one: the genes between move by one rank,
those that tie with the old or the new value by half a rank. With the running sums of the reference cells' ranks in the
cell's order, the new product with each reference cell is a sum of four numbers, whatever the number of genes. Doubled
ranks are whole numbers (see :mod:`~adverscarial.classifiers.scorers.ranks`), so products are exact in any order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.scorers.ranks import centred_ranks


class Level(NamedTuple):
    """The reference as it is asked about some of its classes, over the genes that tell these apart."""

    labels: np.ndarray  # the classes, positions among all of them, ascending
    place: np.ndarray  # of each of the classifier's genes among those of this level; -1 where it has none
    columns: np.ndarray  # the level's genes, positions among the classifier's
    ranks: np.ndarray  # genes x reference cells, doubled ranks minus their mean; cells of one class side by side
    scale: np.ndarray  # reference cells, 1 / sqrt(sum of squared ranks); 0 for a cell without any difference
    starts: np.ndarray  # classes + 1, the first reference cell of each
    lower: np.ndarray  # classes, how many correlations lie below the quantile's lower neighbour
    weight: np.ndarray  # classes, what the quantile's upper neighbour counts; the lower one counts the rest


class CellRanks(NamedTuple):
    """One cell at one level."""

    values: np.ndarray  # genes
    ordered: np.ndarray  # the values, ascending
    sums: np.ndarray  # (genes + 1) x reference cells, running sums of the reference's ranks in that order
    product: np.ndarray  # reference cells, sum of products of ranks
    ties: int  # sum of t**3 - t over the groups of t equal values


def level_of(
    labels: np.ndarray, columns: np.ndarray, reference: np.ndarray, codes: np.ndarray, quantile: float
) -> Level:
    """Return the level of some classes.

    Parameters
    ----------
    labels
        Positions of the classes, ascending.
    columns
        The genes that tell them apart, positions among the classifier's genes.
    reference
        Values, shape (reference cells, classifier's genes).
    codes
        Class of each reference cell.
    quantile
        Of the correlations within a class, 0 to 1.
    """
    rows = np.concatenate([np.flatnonzero(codes == label) for label in labels])
    sizes = np.array([np.count_nonzero(codes == label) for label in labels])
    ranks = centred_ranks(np.asarray(reference[np.ix_(rows, columns)], dtype=np.float64))
    power = (ranks * ranks).sum(axis=1).astype(np.float64)
    scale = np.divide(1, np.sqrt(power), out=np.zeros(len(power)), where=power > 0)
    place = positions_among(columns, reference.shape[1])
    position = (sizes - 1) * quantile
    lower = np.floor(position).astype(np.int64)
    # partial sums of doubled ranks are below half the square of their number
    small = np.int32 if len(columns) < 40_000 else np.int64
    ranks = np.ascontiguousarray(ranks.T, dtype=small)
    return Level(labels, place, columns, ranks, scale, np.append(0, np.cumsum(sizes)), lower, position - lower)


@compiled
def cell_ranks(values: np.ndarray, level: Level) -> CellRanks:
    """Sort a cell's values of the level's genes, and sum up the reference's ranks in that order."""
    order = np.argsort(values)
    ordered = values[order]
    n, n_cells = level.ranks.shape
    sums = np.empty((n + 1, n_cells), dtype=level.ranks.dtype)
    sums[0] = 0
    for i in range(n):
        for r in range(n_cells):
            sums[i + 1, r] = sums[i, r] + level.ranks[order[i], r]
    product = np.zeros(n_cells, dtype=np.int64)
    ties, start = 0, 0
    while start < n:
        end = start + 1
        while end < n and ordered[end] == ordered[start]:
            end += 1
        for r in range(n_cells):
            product[r] += (start + end + 1) * (np.int64(sums[end, r]) - sums[start, r])
        size = end - start
        ties += size * size * size - size
        start = end
    return CellRanks(values, ordered, sums, product, ties)


@compiled
def _select(values: np.ndarray, start: int, end: int, k: int) -> None:
    """Move the k-th smallest of ``values[start:end]`` to its place, counted from the start of the array."""
    low, high = start, end - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return


@compiled
def quantiles(rho: np.ndarray, level: Level, out: np.ndarray) -> None:
    """Write the quantile of each class's correlations into `out`, and leave the correlations in another order."""
    for label in range(len(level.lower)):
        start, end = level.starts[label], level.starts[label + 1]
        at = start + level.lower[label]
        _select(rho, start, end, at)
        below = rho[at]
        if level.weight[label] == 0:
            out[label] = below
            continue
        above = rho[at + 1]
        for i in range(at + 2, end):
            above = min(above, rho[i])
        out[label] = above * level.weight[label] + below * (1 - level.weight[label])


@compiled
def _correlations(product: np.ndarray, ties: int, level: Level, rho: np.ndarray) -> None:
    n = len(level.columns)
    spread = (n * n * n - n - ties) // 3
    factor = 1 / math.sqrt(float(spread)) if spread > 0 else 0.0
    for r in range(len(product)):
        if spread > 0 and level.scale[r] > 0:
            rho[r] = product[r] * level.scale[r] * factor
        else:  # a cell without any difference: as far from all others, and equal to another such cell
            rho[r] = 1.0 if spread == 0 and level.scale[r] == 0 else 0.5


@compiled
def _moved_quantiles(
    rho: np.ndarray,
    rows: np.ndarray,
    ordered: np.ndarray,
    farthest: float,
    level: Level,
    few: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the quantiles of correlations that have moved by at most `farthest`, looking at few of them.

    What lay further than twice that from a quantile cannot have passed it. `ordered` are the correlations as they were,
    ascending within each class, `rows` where they stand, and `few` is room to work in.
    """
    reach = 2 * farthest + 1e-12
    for label in range(len(level.lower)):
        start, end = level.starts[label], level.starts[label + 1]
        at = start + level.lower[label]
        upper = at if level.weight[label] == 0 else at + 1
        first, last = at, upper + 1
        while first > start and ordered[first - 1] >= ordered[at] - reach:
            first -= 1
        while last < end and ordered[last] <= ordered[upper] + reach:
            last += 1
        for i in range(first, last):
            few[i - first] = rho[rows[i]]
        _select(few, 0, last - first, at - first)
        below = few[at - first]
        if upper == at:
            out[label] = below
            continue
        above = few[upper - first]
        for i in range(upper - first + 1, last - first):
            above = min(above, few[i])
        out[label] = above * level.weight[label] + below * (1 - level.weight[label])


@compiled
def scores_of(cell: CellRanks, level: Level) -> np.ndarray:
    """Return the score of each class of the level, of the cell as it is."""
    rho, out = np.empty(len(cell.product)), np.empty(len(level.lower))
    _correlations(cell.product, cell.ties, level, rho)
    quantiles(rho, level, out)
    return out


@compiled
def moves_of(cell: CellRanks, gene: int, value: float) -> tuple[int, int, int, int, int, int, int, int]:
    """Return where a gene of a level leaves the cell's sorted genes and where it enters them again with a new value.

    The genes from a to b, itself among them, have its old value, those from c to d the new one, and those from `first`
    to `last` lie between. The doubled ranks of these change by twice `step`, of the others that tie by `step`, and its
    own by `moved`.
    """
    before = cell.values[gene]
    a, b = int(np.searchsorted(cell.ordered, before)), int(np.searchsorted(cell.ordered, before, side="right"))
    c, d = int(np.searchsorted(cell.ordered, value)), int(np.searchsorted(cell.ordered, value, side="right"))
    if value == before:
        return a, b, c, d, a, a, 0, 0
    if value > before:
        return a, b, c, d, b, c, -1, c + d - (a + b + 1)
    return a, b, c, d, d, a, 1, c + d + 2 - (a + b + 1)


@compiled
def scores_each(cell: CellRanks, level: Level, genes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the scores of the cell with one gene changed, shape (genes, classes).

    Parameters
    ----------
    cell, level
        The cell as it is, and the reference.
    genes
        Positions among the level's genes.
    new
        The new values.
    """
    n_cells = level.ranks.shape[1]
    out = np.empty((len(genes), len(level.lower)))
    rho, product, few = np.empty(n_cells), np.empty(n_cells, dtype=np.int64), np.empty(n_cells)
    before, rows, ordered = np.empty(n_cells), np.empty(n_cells, dtype=np.int64), np.empty(n_cells)
    _correlations(cell.product, cell.ties, level, before)
    for label in range(len(level.lower)):
        start, end = level.starts[label], level.starts[label + 1]
        rows[start:end] = start + np.argsort(before[start:end])
        ordered[start:end] = before[rows[start:end]]
    for i in range(len(genes)):
        gene, value = genes[i], new[i]
        a, b, c, d, first, last, step, moved = moves_of(cell, gene, value)
        ties = cell.ties
        if step != 0:
            left, entered = b - a, d - c  # how many shared the old value, the gene among them, and have the new one
            ties += (left - 1) ** 3 - (left - 1) - (left**3 - left)
            ties += (entered + 1) ** 3 - (entered + 1) - (entered**3 - entered)
        for r in range(n_cells):
            own = np.int64(level.ranks[gene, r])
            tied = np.int64(cell.sums[b, r]) - cell.sums[a, r] - own + cell.sums[d, r] - cell.sums[c, r]
            between = np.int64(cell.sums[last, r]) - cell.sums[first, r]
            product[r] = cell.product[r] + step * (tied + 2 * between) + own * moved
        _correlations(product, ties, level, rho)
        farthest = 0.0
        for r in range(n_cells):
            farthest = max(farthest, abs(rho[r] - before[r]))
        _moved_quantiles(rho, rows, ordered, farthest, level, few, out[i])
    return out
