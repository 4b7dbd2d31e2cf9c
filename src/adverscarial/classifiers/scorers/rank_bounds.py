"""How many genes a cell needs at least before CHETAH gives it another label.

**One correlation.** For values v, the centred doubled rank of gene j is ``sum over k of sign(v_j - v_k)``. So the
product of a profile's ranks a with the cell's is a sum over pairs of genes, ``P = sum over j < k of (a_j - a_k) *
sign(v_j - v_k)``. Let w be the new values, and S the genes that change. A pair of which one gene is in S changes as if
that gene changed alone. Write D_j for what gene j does to P alone, and for pairs inside S::

    E_jk = (a_j - a_k) * (sign(w_j - w_k) - sign(w_j - v_k) - sign(v_j - w_k) + sign(v_j - v_k))

Then, exactly, ``P(S) = P + (sum of D_j over S) + (sum of E_jk over the pairs in S)``. Each pair is shared by its two
genes, and a gene of S is in at most m - 1 pairs if S has at most m genes. So P rises by no more than the m largest of
``D_j + (m - 1) / 2 * max(0, largest E_jk)``, and falls likewise.

**Its denominator** holds ``T``, the sum of t**3 - t over groups of t equal values. Without the genes of S, T is no
smaller than after taking m genes out of the largest groups, one by one. To put them back, gene after gene, adds
``3 t (t + 1)`` each, where t is the size of the group met: at most as many genes as now have one of the new values, and
those that were put back before.

**The tree.** Both together give an interval for each correlation, hence for each profile score, which never falls when
the correlation rises. A label counts as out of reach if no scores in these intervals lead to it: at a node, the best
profile reaches the largest of the lower ends at least, and its confidence lies between its own ends minus those of the
mean of the opposite branch.
"""

from __future__ import annotations

import math

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.ranks import Model, _score

#: numbers of genes for which reach is computed; what is out of reach for one needs at least one gene more
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 192, 256)
_TINY = 1e-9  # more than the scores and their means may be wrong by rounding


@compiled
def _sign(x: float, y: float) -> int:
    return 1 if x > y else (-1 if x < y else 0)


@compiled
def _effects(v: np.ndarray, w: np.ndarray, moving: np.ndarray, a: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Return P, what each moving gene does to it alone, and the smallest and largest E of each, shape (moving, 2)."""
    product = 0
    for j in range(len(v)):
        for k in range(j):
            product += (a[j] - a[k]) * _sign(v[j], v[k])
    alone, between = np.zeros(len(moving)), np.zeros((len(moving), 2))
    for i in range(len(moving)):
        j = moving[i]
        for k in range(len(v)):
            if k != j:
                alone[i] += (a[j] - a[k]) * (_sign(w[j], v[k]) - _sign(v[j], v[k]))
        for k in moving:
            if k != j:
                turn = _sign(w[j], w[k]) - _sign(w[j], v[k]) - _sign(v[j], w[k]) + _sign(v[j], v[k])
                between[i, 0] = min(between[i, 0], (a[j] - a[k]) * turn)
                between[i, 1] = max(between[i, 1], (a[j] - a[k]) * turn)
    return product, alone, between


@compiled
def _most(alone: np.ndarray, between: np.ndarray, m: int) -> float:
    """Return how far at most `m` genes can raise P."""
    gains = np.sort(alone + 0.5 * (m - 1) * between)[::-1]
    total = 0.0
    for i in range(min(m, len(gains))):
        if gains[i] <= 0:
            break
        total += gains[i]
    return total


@compiled
def ties_interval(v: np.ndarray, w: np.ndarray, moving: np.ndarray, m: int) -> tuple[int, int]:
    """Return the smallest and the largest T that at most `m` changed genes can lead to."""
    ordered = np.sort(v)
    groups = np.zeros(len(v), dtype=np.int64)
    n_groups = 0
    for i in range(len(v)):
        if i > 0 and ordered[i] != ordered[i - 1]:
            n_groups += 1
        groups[n_groups] += 1
    now = int((groups**3 - groups).sum())
    met = 0  # genes that have one of the new values now
    for j in moving:
        equal = np.searchsorted(ordered, w[j], side="right") - np.searchsorted(ordered, w[j], side="left")
        met = max(met, int(equal))
    low, high = now, now
    for i in range(min(m, len(moving))):
        largest = np.argmax(groups)
        t = groups[largest]
        low -= 3 * t * (t - 1)
        groups[largest] -= 1
        high += 3 * (met + i) * (met + i + 1)
    return low, high


@compiled
def rho_interval(
    low: float, high: float, fewest_ties: int, most_ties: int, power: float, n: int
) -> tuple[float, float]:
    """Return between which numbers a correlation lies, given those of its product and of its ties."""
    if power == 0:
        return 0.0, 0.0
    cube = n * n * n - n
    narrow, wide = (cube - most_ties) / 3, (cube - fewest_ties) / 3
    if narrow <= 0:
        return -2.0, 2.0
    narrow, wide = math.sqrt(power * narrow), math.sqrt(power * wide)
    bottom = low / (narrow if low < 0 else wide)
    top = high / (narrow if high > 0 else wide)
    return bottom - 1e-12, top + 1e-12


@compiled
def _intervals(v: np.ndarray, w: np.ndarray, pair: int, model: Model, sizes: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, shape (sizes, 2), with the ends of a pair's profile score."""
    n = len(v)
    moving = np.flatnonzero(v != w)
    product, alone, between = _effects(v, w, moving, model.ranks[pair])
    for s in range(len(sizes)):
        m = min(sizes[s], len(moving))
        high = product + _most(alone, between[:, 1], m)
        low = product - _most(-alone, -between[:, 0], m)
        fewest_ties, most_ties = ties_interval(v, w, moving, m)
        bottom, top = rho_interval(low, high, fewest_ties, most_ties, model.power[pair], n)
        out[s, 0], out[s, 1] = _score(bottom, pair, model), _score(top, pair, model)


@compiled
def _reached(low: np.ndarray, high: np.ndarray, model: Model, threshold: float, reached: np.ndarray) -> None:
    """Mark the labels that scores between `low` and `high` can lead to."""
    n_classes = len(reached) - len(model.node_split)
    nodes, n_nodes = np.zeros(len(model.node_split) + 1, dtype=np.int64), 1
    while n_nodes > 0:
        n_nodes -= 1
        node = nodes[n_nodes]
        start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
        least = low[start:end].max()  # of the best profile's score
        for branch in range(2):
            first, last, opposite, behind = (start, split, split, end) if branch == 0 else (split, end, start, split)
            lowest, highest = low[opposite:behind].mean(), high[opposite:behind].mean()
            passes = False
            for pair in range(first, last):
                if high[pair] < least:
                    continue
                reached[n_classes + node] |= max(low[pair], least) - highest < threshold + _TINY
                if high[pair] - lowest >= threshold - _TINY:
                    passes = True
                    if model.child[node, branch] < 0:
                        reached[model.pair_type[pair]] = True
            if passes and model.child[node, branch] >= 0:
                nodes[n_nodes] = model.child[node, branch]
                n_nodes += 1


@compiled
def fewest_for_labels(
    X: np.ndarray, new: np.ndarray, model: Model, threshold: float, n_classes: int, sizes: np.ndarray
) -> np.ndarray:
    """Return for each cell and label a number of genes that the cell is proven to need to get it.

    Parameters
    ----------
    X, new
        Values before and after, shape (cells, the classifier's genes); genes that cannot change have the same in both.
    model, threshold, n_classes
        Of the classifier.
    sizes
        Ascending numbers of genes to look at.

    Returns
    -------
    Shape (cells, classes + nodes). NEVER: no number of genes leads there.
    """
    n_pairs, n = model.lists.shape
    out = np.empty((len(X), n_classes + len(model.node_split)), dtype=np.int64)
    ends = np.empty((n_pairs, len(sizes), 2))
    v, w = np.empty(n), np.empty(n)
    for cell in range(len(X)):
        n_moving = (X[cell] != new[cell]).sum()
        for pair in range(n_pairs):
            for place in range(n):
                column = model.lists[pair, place]
                v[place], w[place] = X[cell, column], new[cell, column]
            _intervals(v, w, pair, model, sizes, ends[pair])
        out[cell] = 1
        reached = np.zeros(out.shape[1], dtype=np.bool_)
        for s in range(len(sizes)):
            _reached(ends[:, s, 0].copy(), ends[:, s, 1].copy(), model, threshold, reached)
            for label in range(len(reached)):
                if not reached[label]:
                    out[cell, label] = NEVER if sizes[s] >= n_moving else sizes[s] + 1
            if reached.all() or sizes[s] >= n_moving:
                break
    return out
