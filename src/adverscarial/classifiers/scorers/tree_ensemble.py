"""Tree ensembles as plain arrays, with what scorers need to know about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.plain import PlainTrees
from adverscarial.errors import DataError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: one node in one place of memory, so that a step of a walk reads one cache line
_NODE = np.dtype(
    [("threshold", np.float64), ("feature", np.int32), ("left", np.int32), ("right", np.int32)], align=True
)


_CELLS = 16  # that walk through a tree together: a gene's values of all of them are one cache line


@compiled
def _add_leaves(
    X: np.ndarray, genes: np.ndarray, roots: np.ndarray, nodes: np.ndarray, value: np.ndarray, total: np.ndarray
) -> None:
    """Add to each cell's sums the value of the leaf that it reaches in each tree, tree by tree.

    Some cells walk side by side, one step of each in turn: so the processor need not wait for one step to end before it
    begins the next cell's.
    """
    block, at = np.empty((len(genes), _CELLS), dtype=X.dtype), np.empty(_CELLS, dtype=np.int64)
    for start in range(0, len(X), _CELLS):
        n = min(_CELLS, len(X) - start)
        for j in range(len(genes)):
            for c in range(n):
                block[j, c] = X[start + c, genes[j]]
        for root in roots:
            at[:n] = root
            going = True
            while going:
                going = False
                for c in range(n):
                    node = nodes[at[c]]
                    if node.feature >= 0:
                        left, right = node.left, node.right  # both are read: then the choice needs no jump
                        at[c] = left if block[node.feature, c] <= node.threshold else right
                        going = True
            for c in range(n):
                for k in range(value.shape[1]):
                    total[start + c, k] += value[at[c], k]


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
        # an infinite threshold is sound: a tree that met NaN in training tells it from all numbers that way
        if not ok or np.isnan(self.threshold[inner]).any() or not np.isfinite(self.value).all():
            raise DataError("The trees are damaged: nodes must point forward, inside the table, with finite numbers.")

    def rounded(self, X: np.ndarray) -> np.ndarray:
        """Return values as the trees compare them, float64."""
        if not self.single:
            return np.asarray(X, dtype=np.float64)
        with np.errstate(over="ignore"):
            return np.asarray(X, dtype=np.float32).astype(np.float64)

    def sums(self, X: np.ndarray) -> np.ndarray:
        """Return the summed leaf values of each cell, shape (cells, scores): every tree walked from its root."""
        with np.errstate(over="ignore"):
            X = np.ascontiguousarray(X, dtype=np.float32 if self.single else np.float64)
        trees, genes = self.narrowed
        total = np.tile(self.bias, (len(X), 1))
        _add_leaves(X, genes, trees.roots, trees.nodes, trees.value, total)
        return total

    def __getstate__(self) -> dict[str, object]:
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
        last, size = np.arange(len(self.feature)), np.ones(len(self.feature), dtype=np.int64)
        _subtrees(self.feature, self.left, self.right, last, size)
        return last if bool(np.all(last - np.arange(len(last)) + 1 == size)) else None

    @cached_property
    def depth(self) -> int:
        """The most nodes above a leaf."""
        depth, at = 0, self.roots
        while len(at := at[self.feature[at] >= 0]):
            depth, at = depth + 1, np.concatenate([self.left[at], self.right[at]])
        return depth

    @cached_property
    def rounding(self) -> float:
        """How far apart two sums may be and still change places when leaves are added in another order.

        Whole numbers (votes) add up exactly: then not even a tie is in doubt.
        """
        if np.array_equal(self.value, np.rint(self.value)) and np.array_equal(self.bias, np.rint(self.bias)):
            return -1.0
        return 1e-12 * self.largest

    @cached_property
    def largest(self) -> float:
        """The most that leaves and bias can add up to, whatever their signs."""
        per_tree = np.maximum.reduceat(np.abs(self.value).max(axis=1), np.sort(self.roots))
        return float(per_tree.sum() + np.abs(self.bias).max())

    def plain(self, genes: np.ndarray, labels: Sequence[str], *, cut: float = 0.0) -> PlainTrees:
        """Return the same trees as plain arrays; `genes` are the names of all genes of the ensemble."""
        trees, tested = self.narrowed
        names = [str(gene) for gene in genes[tested]]
        return PlainTrees(names, [str(label) for label in labels], **trees.arrays(), cut=cut, single=self.single)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to store."""
        return {
            name: getattr(self, name) for name in ("roots", "feature", "threshold", "left", "right", "value", "bias")
        }


@compiled
def _subtrees(feature: np.ndarray, left: np.ndarray, right: np.ndarray, last: np.ndarray, size: np.ndarray) -> None:
    """Set the last node below each, itself at first, and how many there are, 1 at first."""
    for node in range(len(feature) - 1, -1, -1):  # children come behind their parents
        if feature[node] >= 0:
            a, b = last[left[node]], last[right[node]]
            last[node] = a if a > b else b
            size[node] += size[left[node]] + size[right[node]]


def forest_arrays(estimators: Sequence[BaseEstimator]) -> TreeEnsemble:
    """Return scikit-learn's fitted trees as arrays; leaf values are class fractions (or a regression tree's value)."""
    sizes = np.array([estimator.tree_.node_count for estimator in estimators])
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    trees = [estimator.tree_ for estimator in estimators]
    value = np.concatenate([tree.value[:, 0, :] for tree in trees])
    return TreeEnsemble(
        roots=roots,
        feature=np.concatenate([np.where(tree.children_left < 0, -1, tree.feature) for tree in trees]).astype(np.int64),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=np.concatenate([tree.children_left + root for tree, root in zip(trees, roots, strict=True)]),
        right=np.concatenate([tree.children_right + root for tree, root in zip(trees, roots, strict=True)]),
        value=np.ascontiguousarray(value, dtype=np.float64),
        bias=np.zeros(value.shape[1]),
    )
