"""Rank correlations of CHETAH in whole numbers, and what one changed value does to them.

For n genes, twice the average rank of a value is ``R = 2 * (number smaller) + (number equal, itself included) + 1``,
a whole number with mean n + 1. With the profile's centred doubled ranks a, a cell's Spearman correlation is::

    rho = sum(a * R) / sqrt(sum(a * a) * sum((R - n - 1)**2)),     sum((R - n - 1)**2) = (n**3 - n - T) / 3

where T sums t**3 - t over the cell's groups of t equal values. Sums of whole numbers are exact in any order, so the
same ranks give the same rho to the last bit, whether sorted afresh or updated. The distribution functions need that:
they count values <= rho.

A *pair* is one cell type at one node of the tree; it has its own gene list.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.bisection import first_above, first_at_least


class Model(NamedTuple):
    """The trained tree as plain arrays. Pairs stand in node order; inside a node, branch 1 before branch 2."""

    lists: np.ndarray  # pairs x n, columns of the classifier's genes, largest difference first
    ranks: np.ndarray  # pairs x n, the profile's doubled ranks minus (n + 1): the vector a
    power: np.ndarray  # pairs, sum(a * a)
    pair_type: np.ndarray  # pairs, position in the classifier's classes
    node_start: np.ndarray  # nodes + 1, a node's first pair
    node_split: np.ndarray  # nodes, first pair of branch 2
    child: np.ndarray  # nodes x 2, the node below each branch, or -1
    own: np.ndarray  # sorted correlations of the type's own reference cells, pair after pair
    own_start: np.ndarray  # pairs + 1
    other: np.ndarray  # the same for the reference cells of the opposite branch
    other_start: np.ndarray  # pairs + 1


class Cells(NamedTuple):
    """Cells as they stand."""

    X: np.ndarray  # values, cells x the classifier's genes
    order: np.ndarray  # of the lists
    scores: np.ndarray  # of the profiles
    codes: np.ndarray  # votes


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return twice the average ranks along the last axis, minus their mean: whole numbers."""
    ranks: np.ndarray = np.rint(2 * rankdata(values, axis=-1)).astype(np.int64)
    ranks -= values.shape[-1] + 1
    return ranks


def entries(lists: np.ndarray, n_genes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each gene where its entries start, and for each entry its pair and its place in that pair's list."""
    order = np.argsort(lists, axis=None, kind="stable")
    first = np.searchsorted(lists.ravel()[order], np.arange(n_genes + 1))
    return first, order // lists.shape[1], order % lists.shape[1]


@compiled
def _rho(product: int, ties: int, power: int, n: int) -> float:
    spread = (n * n * n - n - ties) // 3
    if spread == 0 or power == 0:
        return 0.0  # a constant cell or profile has no correlation; the original counts it as 0
    return product / math.sqrt(float(power) * float(spread))


@compiled
def _score(rho: float, pair: int, model: Model) -> float:
    """Return the profile score F_A(rho) - (1 - F_B(rho))."""
    start, end = model.own_start[pair], model.own_start[pair + 1]
    own = (first_above(model.own, start, end, rho) - start) / (end - start)
    start, end = model.other_start[pair], model.other_start[pair + 1]
    other = (first_above(model.other, start, end, rho) - start) / (end - start)
    return float(own - (1.0 - other))


@compiled
def _sums(ordered: np.ndarray, sums: np.ndarray) -> tuple[int, int]:
    """Return sum(a * R) and T, given sorted values and the running sums of a in their order (n + 1 of them)."""
    n = len(ordered)
    product, ties, start = 0, 0, 0
    while start < n:
        end = start + 1
        while end < n and ordered[end] == ordered[start]:
            end += 1
        size = end - start
        product += (start + end + 1) * (sums[end] - sums[start])
        ties += size * size * size - size
        start = end
    return product, ties


@compiled
def _lay_out(
    cell: np.ndarray, order: np.ndarray, pair: int, model: Model, ordered: np.ndarray, sums: np.ndarray
) -> None:
    """Fill `ordered` with the cell's sorted values over the pair's list, `sums` with the running sums of a."""
    sums[0] = 0
    for i in range(len(order)):
        place = order[i]
        ordered[i] = cell[model.lists[pair, place]]
        sums[i + 1] = sums[i] + model.ranks[pair, place]


@compiled
def _correlate(X: np.ndarray, pairs: np.ndarray, model: Model, order: np.ndarray) -> np.ndarray:
    n = model.lists.shape[1]
    rho = np.empty((len(X), len(pairs)))
    values, ordered, sums = np.empty(n), np.empty(n), np.empty(n + 1, dtype=np.int64)
    for cell in range(len(X)):
        for i, pair in enumerate(pairs):
            for place in range(n):
                values[place] = X[cell, model.lists[pair, place]]
            order[cell, i] = np.argsort(values)
            _lay_out(X[cell], order[cell, i], pair, model, ordered, sums)
            product, ties = _sums(ordered, sums)
            rho[cell, i] = _rho(product, ties, model.power[pair], n)
    return rho


def correlate(X: np.ndarray, pairs: np.ndarray, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's correlation with the profiles of `pairs`, from scratch, and the orders it took.

    Returns
    -------
    Correlations, shape (cells, pairs), and the places of each list by increasing value, shape (cells, pairs, n), in the
    smallest whole type that holds them.
    """
    n = model.lists.shape[1]
    order = np.empty((len(X), len(pairs), n), dtype=np.min_scalar_type(n - 1))
    return _correlate(np.ascontiguousarray(X, dtype=np.float64), pairs, model, order), order


@compiled
def _correlate_moved(
    X: np.ndarray, pairs: np.ndarray, model: Model, before: np.ndarray, moved: np.ndarray, same: bool, order: np.ndarray
) -> np.ndarray:
    n = model.lists.shape[1]
    rho = np.empty((len(X), len(pairs)))
    ordered, sums = np.empty(n), np.empty(n + 1, dtype=np.int64)
    values, is_moved = np.empty(n), np.empty(n, dtype=np.bool_)
    for i, pair in enumerate(pairs):
        for place in range(n):
            is_moved[place] = moved[model.lists[pair, place]]
        places = np.flatnonzero(is_moved)
        by_value = places
        for cell in range(len(X)):
            for place in range(n):
                values[place] = X[cell, model.lists[pair, place]]
            if cell == 0 or not same:
                by_value = places[np.argsort(values[places])]
            k = 0  # the next of the moved genes; those that stay keep their order
            filled = 0
            for j in range(n):
                place = before[cell, pair, j]
                if is_moved[place]:
                    continue
                while k < len(by_value) and values[by_value[k]] < values[place]:
                    order[cell, i, filled] = by_value[k]
                    filled, k = filled + 1, k + 1
                order[cell, i, filled] = place
                filled += 1
            order[cell, i, filled:] = by_value[k:]
            _lay_out(X[cell], order[cell, i], pair, model, ordered, sums)
            product, ties = _sums(ordered, sums)
            rho[cell, i] = _rho(product, ties, model.power[pair], n)
    return rho


def correlate_moved(
    X: np.ndarray, pairs: np.ndarray, model: Model, before: np.ndarray, columns: np.ndarray, *, same: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return what :func:`correlate` does, when the order of the lists is known but for some genes.

    Sorting is most of the work of :func:`correlate`. Here only the moved genes are sorted, once for all cells where
    their values are the same in each, and merged into those that stay.

    Parameters
    ----------
    X
        The cells with the new values, shape (cells, classifier's genes).
    pairs
        The lists to look at.
    before
        Order of all lists before, shape (cells, all pairs, n).
    columns
        Columns of `X` that hold new values.
    same
        Whether each of these has one value in all cells.
    """
    moved = np.zeros(X.shape[1], dtype=np.bool_)
    moved[columns] = True
    order = np.empty((len(X), len(pairs), model.lists.shape[1]), dtype=before.dtype)
    return _correlate_moved(X, pairs, model, before, moved, same, order), order


@compiled
def profile_scores(rho: np.ndarray, pairs: np.ndarray, model: Model) -> np.ndarray:
    """Return the profile scores, -1 to 1, that go with the correlations of `pairs`, shape (cells, pairs)."""
    scores = np.empty(rho.shape)
    for cell in range(len(rho)):
        for i, pair in enumerate(pairs):
            scores[cell, i] = _score(rho[cell, i], pair, model)
    return scores


@compiled
def _mean(values: np.ndarray) -> float:
    # The second pass takes the rounding error out, as R's mean() does: the mean of equal scores must be that score.
    mean = 0.0
    for value in values:
        mean += value
    mean /= len(values)
    rest = 0.0
    for value in values:
        rest += value - mean
    return mean + rest / len(values)


@compiled
def _walk(scores: np.ndarray, model: Model, threshold: float, n_classes: int) -> int:
    """Walk one cell down the tree; return a class, or n_classes + node (from 0) where it gets stuck."""
    node = 0
    while True:
        start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
        best = start
        for pair in range(start + 1, end):
            if scores[pair] > scores[best]:
                best = pair
        opposite = scores[split:end] if best < split else scores[start:split]
        if scores[best] - _mean(opposite) < threshold:
            return n_classes + node
        below = model.child[node, 0 if best < split else 1]
        if below < 0:
            return int(model.pair_type[best])
        node = below


@compiled
def walk(scores: np.ndarray, model: Model, threshold: float, n_classes: int) -> np.ndarray:
    """Return one code per cell: its class, or n_classes + the node (from 0) where its confidence is too low."""
    codes = np.empty(len(scores), dtype=np.int64)
    for cell in range(len(scores)):
        codes[cell] = _walk(scores[cell], model, threshold, n_classes)
    return codes


@compiled
def confidences(scores: np.ndarray, model: Model) -> np.ndarray:
    """Return each profile score minus the mean score of the opposite branch, shape (cells, pairs)."""
    out = np.empty(scores.shape)
    for cell in range(len(scores)):
        for node in range(len(model.node_split)):
            start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
            out[cell, start:split] = scores[cell, start:split] - _mean(scores[cell, split:end])
            out[cell, split:end] = scores[cell, split:end] - _mean(scores[cell, start:split])
    return out


@compiled
def _moved(
    ordered: np.ndarray, sums: np.ndarray, product: int, ties: int, a: int, old: float, new: float
) -> tuple[int, int]:
    """Return sum(a * R) and T after one gene, whose entry of the profile is `a`, went from `old` to `new`.

    Genes between the two values lose or win 2 in R, genes equal to either of them 1; the gene itself moves over.
    """
    n = len(ordered)
    old_start, old_end = first_at_least(ordered, 0, n, old), first_above(ordered, 0, n, old)
    new_start, new_end = first_at_least(ordered, 0, n, new), first_above(ordered, 0, n, new)
    equal = sums[old_end] - sums[old_start] - a + sums[new_end] - sums[new_start]
    if new > old:
        product -= equal + 2 * (sums[new_start] - sums[old_end])
        rank = new_start + new_end  # the gene itself no longer counts among the smaller ones
    else:
        product += equal + 2 * (sums[old_start] - sums[new_end])
        rank = new_start + new_end + 2
    product += a * (rank - (old_start + old_end + 1))
    # t**3 - t changes by 3 * t * (t + 1) between groups of t and t + 1
    left, joined = old_end - old_start - 1, new_end - new_start
    ties += 3 * joined * (joined + 1) - 3 * left * (left + 1)
    return product, ties


@compiled
def votes_each(
    cells: Cells,
    model: Model,
    entries: tuple[np.ndarray, np.ndarray, np.ndarray],
    genes: np.ndarray,
    values: np.ndarray,
    threshold: float,
    n_classes: int,
) -> np.ndarray:
    """Return how the cells vote with each gene changed alone, shape (genes, codes).

    Sorting was done before (`order`): a cell costs one linear pass over the lists that hold one of `genes`, then a few
    binary searches for each gene and list.

    Parameters
    ----------
    cells
        The cells as they stand.
    entries
        For each of the classifier's genes where its entries start, and for each entry its pair and its place there.
    genes, values
        Columns of the cells' values, and their new values: (cells, genes), or (1, genes).
    """
    X, order, scores, codes = cells
    first, entry_pair, entry_place = entries
    n_pairs, n = model.lists.shape
    touched = np.zeros(n_pairs, dtype=np.bool_)
    for gene in genes:
        touched[entry_pair[first[gene] : first[gene + 1]]] = True
    ordered, sums = np.empty((n_pairs, n)), np.empty((n_pairs, n + 1), dtype=np.int64)
    products, ties = np.zeros(n_pairs, dtype=np.int64), np.zeros(n_pairs, dtype=np.int64)
    votes = np.zeros((len(genes), n_classes + len(model.node_split)), dtype=np.int64)
    for cell in range(len(X)):
        for pair in range(n_pairs):
            if touched[pair]:
                _lay_out(X[cell], order[cell, pair], pair, model, ordered[pair], sums[pair])
                products[pair], ties[pair] = _sums(ordered[pair], sums[pair])
        now = scores[cell].copy()
        for k, gene in enumerate(genes):
            code = codes[cell]
            old, new = X[cell, gene], values[cell if len(values) > 1 else 0, k]
            changed = False
            if new != old:
                for entry in range(first[gene], first[gene + 1]):
                    pair = entry_pair[entry]
                    a = model.ranks[pair, entry_place[entry]]
                    product, tie = _moved(ordered[pair], sums[pair], products[pair], ties[pair], a, old, new)
                    if product != products[pair] or tie != ties[pair]:
                        now[pair] = _score(_rho(product, tie, model.power[pair], n), pair, model)
                        changed = True
            if changed:
                code = _walk(now, model, threshold, n_classes)
                for entry in range(first[gene], first[gene + 1]):
                    now[entry_pair[entry]] = scores[cell, entry_pair[entry]]
            votes[k, code] += 1
    return votes
