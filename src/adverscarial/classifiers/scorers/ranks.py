"""Rank correlations of CHETAH in whole numbers, and the tree that is walked down by them.

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

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.bisection import first_above


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


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return twice the average ranks along the last axis, minus their mean: whole numbers."""
    from scipy.stats import rankdata  # large, and a process that only attacks does not need it

    ranks: np.ndarray = np.rint(2 * rankdata(values, axis=-1)).astype(np.int64)
    ranks -= values.shape[-1] + 1
    return ranks


def entries(lists: np.ndarray, n_genes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each gene where its entries start, and for each entry its pair and its place in that pair's list."""
    order = np.argsort(lists, axis=None, kind="stable")
    first = np.searchsorted(lists.ravel()[order], np.arange(n_genes + 1))
    return first, order // lists.shape[1], order % lists.shape[1]


@compiled_within
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


def correlate(X: np.ndarray, pairs: np.ndarray, model: Model) -> np.ndarray:
    """Return each cell's correlation with the profiles of `pairs`, by sorting; shape (cells, pairs)."""
    rho = np.zeros((len(X), len(pairs)))
    for i, pair in enumerate(pairs):
        ranks = centred_ranks(np.asarray(X[:, model.lists[pair]], dtype=np.float64))
        product, spread = ranks @ model.ranks[pair], (ranks * ranks).sum(axis=1)
        scale = np.sqrt(float(model.power[pair]) * spread.astype(np.float64))
        # a constant cell or profile has no correlation; the original counts it as 0
        np.divide(product, scale, out=rho[:, i], where=scale > 0)
    return rho


@compiled
def profile_scores(rho: np.ndarray, pairs: np.ndarray, model: Model) -> np.ndarray:
    """Return the profile scores, -1 to 1, that go with the correlations of `pairs`, shape (cells, pairs)."""
    scores = np.empty(rho.shape)
    for cell in range(len(rho)):
        for i, pair in enumerate(pairs):
            scores[cell, i] = _score(rho[cell, i], pair, model)
    return scores


@compiled
def _mean(values: np.ndarray, start: int, end: int) -> float:
    """Return the mean of some of the values."""
    # The second pass takes the rounding error out, as R's mean() does: the mean of equal scores must be that score.
    mean = 0.0
    for k in range(start, end):
        mean += values[k]
    mean /= end - start
    rest = 0.0
    for k in range(start, end):
        rest += values[k] - mean
    return mean + rest / (end - start)


@compiled_within
def branch(scores: np.ndarray, start: int, split: int, end: int) -> tuple[int, float]:
    """Return the best pair of a node, and by how much its score is above the opposite branch's mean.

    It is handed the node's bounds, not the model: to hand over a dozen arrays costs more than what is done here.
    """
    best = start
    for pair in range(start + 1, end):
        if scores[pair] > scores[best]:
            best = pair
    opposite = _mean(scores, split, end) if best < split else _mean(scores, start, split)
    return best, scores[best] - opposite


@compiled_within
def taken(scores: np.ndarray, start: int, split: int, end: int, threshold: float) -> int:
    """Return the best pair of a node, whose branch is taken; -1 where the cell stays."""
    best, lead = branch(scores, start, split, end)
    return -1 if lead < threshold else best


#: Steps in which the pairs of a node are asked about, so that most need not be asked about; see :func:`asked`.
OPPOSITE, LIKELY, ALL = 0, 1, 2


@compiled_within
def asked(step: int, pair: int, start: int, split: int, end: int) -> tuple[int, int]:
    """Return where those pairs of a node begin and end that a step asks about.

    The first one asks about the branch opposite to that of `pair`, the second one about `pair`. Where its score
    :func:`suffices`, that is all; else the third one asks about all.
    """
    if step == OPPOSITE:
        return (split, end) if pair < split else (start, split)
    return (pair, pair + 1) if step == LIKELY else (start, end)


@compiled_within
def likely(scores: np.ndarray, start: int, end: int) -> int:
    """Return the best pair of a node, of those whose scores are known: the others are NaN."""
    best = start
    for pair in range(start + 1, end):
        if scores[pair] > scores[best] or np.isnan(scores[best]):
            best = pair
    return best


@compiled_within
def suffices(scores: np.ndarray, pair: int, start: int, split: int, end: int, threshold: float) -> bool:
    """Return whether :func:`branch` takes the branch of a pair, whatever the other pairs of that branch score.

    The best of them is no worse, so it is as far above the opposite branch, whose scores must be known.
    """
    low, high = (split, end) if pair < split else (start, split)
    for other in range(low, high):
        if scores[other] > scores[pair] or (other < pair and scores[other] == scores[pair]):
            return False
    return bool(scores[pair] - _mean(scores, low, high) >= threshold)


@compiled
def confidences(scores: np.ndarray, model: Model) -> np.ndarray:
    """Return each profile score minus the mean score of the opposite branch, shape (cells, pairs)."""
    out = np.empty(scores.shape)
    for cell in range(len(scores)):
        for node in range(len(model.node_split)):
            start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
            out[cell, start:split] = scores[cell, start:split] - _mean(scores[cell], split, end)
            out[cell, split:end] = scores[cell, split:end] - _mean(scores[cell], start, split)
    return out
