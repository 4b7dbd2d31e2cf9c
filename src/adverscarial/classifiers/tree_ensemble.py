"""Tree ensembles as plain arrays, with what scorers need to know about them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from adverscarial.errors import DataError

#: one node in one place of memory, so that a step of a walk reads one cache line
_NODE = np.dtype(
    [("threshold", np.float64), ("feature", np.int32), ("left", np.int32), ("right", np.int32)], align=True
)


class Index(NamedTuple):
    """Which trees, and which of their nodes, test which gene.

    Attributes
    ----------
    pairs
        Each gene and tree that tests it, once, ascending: the gene times the number of trees, plus the tree.
    gene, node, tree
        Every inner node by its gene, ascending.
    """

    pairs: np.ndarray
    gene: np.ndarray
    node: np.ndarray
    tree: np.ndarray


@dataclass(frozen=True)
class TreeEnsemble:
    """Trees laid end to end; what every scorer needs of them is computed once and kept.

    Attributes
    ----------
    roots
        Position of each tree's root, shape (trees,).
    feature
        Gene tested at each node; -1 at a leaf.
    threshold
        A value at or below it goes left, float64.
    left, right
        Positions of the children.
    value
        What each leaf adds to each score, shape (nodes, scores); rows of inner nodes are not used.
    bias
        What the sum starts from, shape (scores,).
    single
        Values are rounded to float32 before they are compared, as scikit-learn and XGBoost do.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    bias: np.ndarray
    single: bool = True

    def __post_init__(self) -> None:
        n = len(self.feature)
        inner = self.feature >= 0
        children = np.concatenate([self.left[inner], self.right[inner]])
        parents = np.tile(np.flatnonzero(inner), 2)
        # children stand behind their parents in every tree, so a walk always ends
        ok = len({n, len(self.threshold), len(self.left), len(self.right), len(self.value)}) == 1
        ok = ok and bool(np.all(children > parents)) and bool(np.all(children < n))
        ok = ok and bool(np.all((self.roots >= 0) & (self.roots < n))) and len(self.roots) > 0
        if not ok or not (np.isfinite(self.threshold[inner]).all() and np.isfinite(self.value).all()):
            raise DataError("The trees are damaged: nodes must point forward, inside the table, with finite numbers.")

    def rounded(self, X: np.ndarray) -> np.ndarray:
        """Return values as the trees compare them, float64."""
        if not self.single:
            return np.asarray(X, dtype=np.float64)
        with np.errstate(over="ignore"):
            return np.asarray(X, dtype=np.float32).astype(np.float64)

    def sums(self, X: np.ndarray) -> np.ndarray:
        """Return the summed leaf values of each cell, shape (cells, scores): every tree walked from its root."""
        X = np.ascontiguousarray(self.rounded(X))
        total = np.tile(self.bias, (len(X), 1))
        for root in self.roots:
            node = np.full(len(X), root)
            while True:
                walking = np.flatnonzero(self.feature[node] >= 0)
                if not len(walking):
                    break
                at = node[walking]
                goes_left = X[walking, self.feature[at]] <= self.threshold[at]
                node[walking] = np.where(goes_left, self.left[at], self.right[at])
            total += self.value[node]
        return total

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # without what is kept

    @cached_property
    def narrowed(self) -> tuple[TreeEnsemble, np.ndarray]:
        """Return the same trees over those genes only that they test, and which these are."""
        tested, inner = np.unique(self.feature), self.feature >= 0
        tested = tested[tested >= 0]
        feature = self.feature.copy()
        feature[inner] = np.searchsorted(tested, self.feature[inner])
        return replace(self, feature=feature), tested

    @cached_property
    def index(self) -> Index:
        """Which trees and nodes test which gene."""
        inner = np.flatnonzero(self.feature >= 0)
        order = np.argsort(self.roots, kind="stable")
        tree = order[np.searchsorted(self.roots[order], inner, side="right") - 1]
        gene = self.feature[inner].astype(np.int64)
        by_gene = np.argsort(gene, kind="stable")
        return Index(np.unique(gene * len(order) + tree), gene[by_gene], inner[by_gene], tree[by_gene])

    @cached_property
    def nodes(self) -> np.ndarray:
        """The nodes as one array of records."""
        nodes = np.empty(len(self.feature), dtype=_NODE)
        for name in ("threshold", "feature", "left", "right"):
            nodes[name] = getattr(self, name)
        return nodes

    @cached_property
    def last_below(self) -> np.ndarray | None:
        """The last node below each node; None where the nodes below one do not follow it without a gap."""
        last, size = _subtrees(self.feature, self.left, self.right)
        return last if bool(np.all(last - np.arange(len(last)) + 1 == size)) else None

    @cached_property
    def rounding(self) -> float:
        """How far apart two sums may be and still change places when leaves are added in another order.

        Whole numbers (votes) add up exactly: then not even a tie is in doubt.
        """
        if np.array_equal(self.value, np.rint(self.value)) and np.array_equal(self.bias, np.rint(self.bias)):
            return -1.0
        largest = np.maximum.reduceat(np.abs(self.value).max(axis=1), np.sort(self.roots))
        return float(1e-12 * (largest.sum() + np.abs(self.bias).max()))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to store."""
        return {
            name: getattr(self, name) for name in ("roots", "feature", "threshold", "left", "right", "value", "bias")
        }


@njit(cache=True, nogil=True)
def _subtrees(feature: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    last = np.arange(len(feature))
    size = np.ones(len(feature), dtype=np.int64)
    for node in range(len(feature) - 1, -1, -1):  # children come behind their parents
        if feature[node] >= 0:
            last[node] = max(last[left[node]], last[right[node]])
            size[node] += size[left[node]] + size[right[node]]
    return last, size
