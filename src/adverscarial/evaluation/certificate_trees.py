"""Bounds on what changed genes do to the votes of trees, to check certificates by: nothing of the search is used.

A value of a cell is either the old one or the new one. So a cell can reach a leaf at most if, for each gene on the way
to it, one of the two lies where the comparisons want it. Where only the new one does, the gene must be changed. The
gain of a leaf is given to the genes that must be changed for it, in parts: its credits. Of all leaves of a tree, each
gene keeps the largest credit. Whatever set is changed, a tree reaches one leaf, whose genes are all in the set, and
their credits are at least what that leaf gains. So no m genes gain more than the m largest sums of credits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial.classifiers.plain import PlainTrees
from adverscarial.evaluation.certificate_votes import Bounds

_SHARE = 1e-11  # of what is added up, which rounding may hide: sums in float64
_SHARE_SINGLE = 4e-6  # ... sums of a package that adds up in float32
_ROUNDS = 3  # of dividing the gains otherwise; any division proves, one proves more than another


class _Leaves(NamedTuple):
    """What a cell must be like to reach each leaf: one entry for each leaf and gene on the way to it."""

    tree: np.ndarray  # of each leaf
    node: np.ndarray
    leaf: np.ndarray  # of each entry
    gene: np.ndarray
    above: np.ndarray  # the gene's value must be larger,
    most: np.ndarray  # and at most this


class _Paths(NamedTuple):
    """What one cell can reach: entries of leaves and the genes that must be changed for them, by tree and gene."""

    now: np.ndarray  # the node that each tree reaches now
    tree: np.ndarray  # of each leaf that can be reached
    node: np.ndarray
    leaf: np.ndarray  # of each entry, in an order in which those of a tree and a gene stand together
    gene: np.ndarray
    first: np.ndarray  # where those of each tree and gene begin


def _leaves(trees: PlainTrees) -> _Leaves:
    feature, left, right = (part.tolist() for part in (trees.feature, trees.left, trees.right))
    threshold = trees.threshold.tolist()
    leaves: list[tuple[int, int]] = []
    entries: list[tuple[int, int, float, float]] = []
    for tree, root in enumerate(trees.roots.tolist()):
        open_nodes: list[tuple[int, dict[int, tuple[float, float]]]] = [(root, {})]
        while open_nodes:
            node, box = open_nodes.pop()
            gene = feature[node]
            if gene < 0:
                entries += [(len(leaves), gene, above, most) for gene, (above, most) in box.items()]
                leaves.append((tree, node))
                continue
            above, most = box.get(gene, (-np.inf, np.inf))
            open_nodes.append((left[node], box | {gene: (above, min(most, threshold[node]))}))
            open_nodes.append((right[node], box | {gene: (max(above, threshold[node]), most)}))
    tree_of, node_of = np.array(leaves, dtype=np.int64).T
    table = np.array(entries, dtype=np.float64).reshape(-1, 4)
    return _Leaves(
        tree_of, node_of, table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3]
    )


class TreeBounds(Bounds):
    """What genes can do to the votes of trees."""

    def __init__(self, trees: PlainTrees, old: np.ndarray, new: np.ndarray) -> None:
        self.trees, self._leaves = trees, _leaves(trees)
        self._old, self._new = (self._compared(values) for values in (old, new))
        self._binary = trees.value.shape[1] == 1
        numbers = (trees.value, trees.bias)
        self.exact = not self._binary and all(np.array_equal(part, np.rint(part)) for part in numbers)
        largest = np.maximum.reduceat(np.abs(trees.value).max(axis=1), np.sort(trees.roots)).sum()
        size = float(largest + np.abs(trees.bias).max() + abs(trees.cut))
        self.scores = self.scores_of(self._old)
        share = _SHARE_SINGLE if trees.single and not self.exact else _SHARE
        self.hidden = np.full(len(old), share * size)
        self._kept: dict[int, _Paths] = {}

    def _compared(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return values.astype(np.float32 if self.trees.single else np.float64).astype(np.float64)

    def scores_of(self, values: np.ndarray) -> np.ndarray:
        """Return scores of cells with other values: every tree is walked from its root."""
        trees, values = self.trees, self._compared(values)
        at = np.tile(trees.roots, (len(values), 1))
        cells = np.arange(len(values))[:, None]
        while (inner := trees.feature[at] >= 0).any():
            goes_left = values[cells, np.where(inner, trees.feature[at], 0)] <= trees.threshold[at]
            at = np.where(inner, np.where(goes_left, trees.left[at], trees.right[at]), at)
        return self._with_cut(trees.bias + trees.value[at].sum(axis=1))

    def _with_cut(self, sums: np.ndarray) -> np.ndarray:
        return np.hstack([np.full_like(sums, self.trees.cut), sums]) if self._binary else sums

    def _paths(self, cell: int) -> _Paths:
        """Return the leaves that a cell can reach."""
        if cell in self._kept:
            return self._kept[cell]
        leaves, n = self._leaves, len(self._leaves.tree)
        old_fits, new_fits = (
            (leaves.above < values[leaves.gene]) & (values[leaves.gene] <= leaves.most)
            for values in (self._old[cell], self._new[cell])
        )
        closed = np.bincount(leaves.leaf, ~(old_fits | new_fits), n) > 0
        must = ~old_fits & ~closed[leaves.leaf]
        stays = ~closed & (np.bincount(leaves.leaf, must, n) == 0)
        now = np.full(len(self.trees.roots), -1)
        now[leaves.tree[stays]] = leaves.node[stays]
        reachable = np.flatnonzero(~closed & ~stays)
        leaf, gene = np.searchsorted(reachable, leaves.leaf[must]), leaves.gene[must]
        tree = leaves.tree[reachable]
        key = tree[leaf] * len(self.trees.genes) + gene
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else key
        found = _Paths(now, tree, leaves.node[reachable], leaf[order], gene[order], first)
        if sum(len(paths.leaf) for paths in self._kept.values()) < 3e7:
            self._kept[cell] = found
        return found

    def reaches(self, c: np.ndarray, cell: int, m: int, *, strict: bool) -> bool:  # noqa: D102
        need = -float(self.scores[cell] @ c)
        if strict and self.exact:
            need += 1.0  # votes are whole: to be ahead is to be ahead by one
        need -= float(self.hidden[cell])
        if need <= 0:
            return True
        lead_values = self.trees.value @ (c[1:] if self._binary else c)
        unit, paths = float(np.ptp(lead_values)) / 2 or 1.0, self._paths(cell)
        gain = np.maximum(lead_values[paths.node] - lead_values[paths.now[paths.tree]], 0.0)
        weight = np.ones(len(self.trees.genes))
        for _ in range(_ROUNDS):
            sums = _sums_of_credits(paths, gain, weight)
            if _largest(sums, m) < need:
                return False
            weight = (sums / unit + 0.05) ** -4  # a leaf is charged to those of its genes that are of use least often
        return True

    def alone(self, cell: int) -> np.ndarray:  # noqa: D102
        paths, value = self._paths(cell), self.trees.value
        single = np.bincount(paths.leaf, minlength=len(paths.tree))[paths.leaf] == 1
        leaf = paths.leaf[single]
        sums = np.tile(self.trees.bias + value[paths.now].sum(axis=0), (len(self.trees.genes), 1))
        np.add.at(sums, paths.gene[single], value[paths.node[leaf]] - value[paths.now[paths.tree[leaf]]])
        return self._with_cut(sums)


def _sums_of_credits(paths: _Paths, gain: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return for each gene the sum over trees of its largest credit there."""
    shared = np.bincount(paths.leaf, weight[paths.gene], len(paths.node))
    credit = gain[paths.leaf] * weight[paths.gene] / shared[paths.leaf]
    best = np.maximum.reduceat(credit, paths.first) if len(paths.first) else credit
    return np.bincount(paths.gene[paths.first], best, len(weight))


def _largest(numbers: np.ndarray, m: int) -> float:
    return float(np.sort(numbers)[::-1][:m].sum())
