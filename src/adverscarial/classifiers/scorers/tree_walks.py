"""Walks of cells through trees: the leaf that each reaches, also with some genes changed, and the leaves' sums."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.linear_sums import stretches

_TREES = 16  # through which a cell walks side by side


@compiled_within
def walk_with(nodes: np.ndarray, at: int, x: np.ndarray, gene: int, new: float) -> int:
    """Return the leaf that a cell reaches from a node, with one gene changed."""
    node = nodes[at]
    while node.feature >= 0:
        value = new if node.feature == gene else x[node.feature]
        at = node.left if value <= node.threshold else node.right
        node = nodes[at]
    return at


@compiled_within
def _descend(nodes: np.ndarray, at: int, x: np.ndarray, column: np.ndarray, new: np.ndarray) -> int:
    """Return the leaf that one cell reaches from a node, with some genes changed."""
    node = nodes[at]
    while node.feature >= 0:
        j = column[node.feature]
        value = x[node.feature] if j < 0 else new[j]
        at = node.left if value <= node.threshold else node.right
        node = nodes[at]
    return at


@compiled
def turn(  # noqa: PLR0913
    nodes: np.ndarray, last: np.ndarray, tested: np.ndarray, owner: np.ndarray, again: np.ndarray, leaf: np.ndarray,
    X: np.ndarray, column: np.ndarray, new: np.ndarray, reached: np.ndarray,
) -> None:  # fmt: skip
    """Fill in the leaves that cells reach in the trees `again`, looking only at nodes that test a changed gene.

    Such a node is on a cell's path if the cell's leaf is among the nodes below it. The first one where the comparison
    turns out differently sends the cell elsewhere; in that tree, the nodes after it are no longer on the path.
    """
    for c in range(len(leaf)):
        for i in range(len(again)):
            reached[c, i] = leaf[c, again[i]]
        turned = -1
        for k in range(len(tested)):
            i = owner[k]
            at = tested[k]
            if i == turned or not (at <= leaf[c, again[i]] <= last[at]):
                continue
            node = nodes[at]
            value = new[c, column[node.feature]]
            if (value <= node.threshold) == (X[c, node.feature] <= node.threshold):
                continue
            turned = i
            reached[c, i] = _descend(nodes, at, X[c], column, new[c])


def walk_all(nodes: np.ndarray, roots: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the leaf that each cell reaches in each tree, shape (cells, trees)."""
    return walk_again(nodes, roots, X, np.empty(0, dtype=np.int64), X[:0])


def walk_again(nodes: np.ndarray, roots: np.ndarray, X: np.ndarray, genes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the same with some genes changed, `new` has their values, shape (cells, genes)."""
    leaf = np.empty((len(X), len(roots)), dtype=np.int64)
    _walk(nodes, roots, X, genes, new, leaf, np.empty(X.shape[1], dtype=X.dtype))
    return leaf


@compiled
def _walk(
    nodes: np.ndarray, roots: np.ndarray, X: np.ndarray, genes: np.ndarray, new: np.ndarray, leaf: np.ndarray,
    x: np.ndarray,
) -> None:  # fmt: skip
    """Fill in the leaf that each cell reaches in each tree with some genes changed; `x` is room for a cell's values.

    A cell walks through some trees side by side, one step in each in turn: so the processor need not wait for one step
    to end before it begins the next one.
    """
    for c in range(len(X)):
        for j in range(len(x)):
            x[j] = X[c, j]
        for k in range(len(genes)):
            x[genes[k]] = new[c, k]
        for start in range(0, len(roots), _TREES):
            end = min(start + _TREES, len(roots))
            for t in range(start, end):
                leaf[c, t] = roots[t]
            going = True
            while going:
                going = False
                for t in range(start, end):
                    node = nodes[leaf[c, t]]
                    if node.feature >= 0:
                        left, right = node.left, node.right  # both are read: then the choice needs no jump
                        leaf[c, t] = left if x[node.feature] <= node.threshold else right
                        going = True


@compiled
def sum_again(
    value: np.ndarray, bias: np.ndarray, leaf: np.ndarray, out: np.ndarray, again: np.ndarray, reached: np.ndarray,
    whole: bool, place: np.ndarray,
) -> None:  # fmt: skip
    """Change the sums to those of other leaves in some trees; a cell whose leaves are the same keeps its sum.

    `place` says where each tree stands in `again`, -1 for the others.
    """
    for c in range(len(leaf)):
        moved = False
        for i in range(len(again)):
            old = leaf[c, again[i]]
            if reached[c, i] != old:
                moved = True
                if whole:
                    for k in range(len(bias)):
                        out[c, k] += value[reached[c, i], k] - value[old, k]
        if moved and not whole:  # in the order of the trees, so that it rounds as a full sum does
            for k in range(len(bias)):
                out[c, k] = bias[k]
            for t in range(leaf.shape[1]):
                at = leaf[c, t] if place[t] < 0 else reached[c, place[t]]
                for k in range(len(bias)):
                    out[c, k] += value[at, k]


def sum_leaves(value: np.ndarray, bias: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """Return the sums of the leaves of each cell, added up in the order of the trees, shape (cells, scores)."""
    sums = np.tile(np.asarray(bias, dtype=np.float64), (len(leaf), 1))
    for some in stretches(len(leaf)):
        for reached in np.ascontiguousarray(leaf[some].T):
            sums[some] += value[reached]
    return sums
