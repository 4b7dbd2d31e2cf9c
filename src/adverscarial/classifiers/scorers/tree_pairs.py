"""What a tree ensemble says of single cells, each with one gene changed to a value of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.scorers.tree_walks import walk_with


class Standing(NamedTuple):
    """The cells as they stand."""

    X: np.ndarray  # values as the trees compare them, shape (cells, genes)
    leaf: np.ndarray  # reached in each tree, shape (cells, trees)
    sums: np.ndarray  # shape (cells, scores)


class Pairs(NamedTuple):
    """One change each, arrays of the shape (pairs,)."""

    cells: np.ndarray
    genes: np.ndarray  # columns of X; -1 for a gene that is in no tree
    values: np.ndarray  # as the trees compare them


class _Trees(NamedTuple):
    nodes: np.ndarray
    roots: np.ndarray
    value: np.ndarray
    bias: np.ndarray
    first: np.ndarray  # where each gene's nodes begin in the next two
    tests: np.ndarray
    owner: np.ndarray  # the tree of each of these nodes


def sums_of_pairs(trees: TreeEnsemble, standing: Standing, pairs: Pairs) -> np.ndarray:
    """Return the sums after each change, as exact as a full walk, shape (pairs, scores)."""
    index = trees.index
    first = np.searchsorted(index.gene, np.arange(standing.X.shape[1] + 1))
    parts = _Trees(trees.nodes, trees.roots, trees.value, trees.bias, first, index.node, index.tree)
    return _sums(parts, standing, pairs, trees.rounding < 0)


@compiled
def _sums(trees: _Trees, standing: Standing, pairs: Pairs, whole: bool) -> np.ndarray:
    """Walk again the trees in which some node compares otherwise; `whole` values add up without rounding."""
    nodes, roots, value, bias, first, tests, owner = trees
    X, leaf, sums = standing
    out = np.empty((len(pairs.cells), sums.shape[1]))
    reached = np.empty(leaf.shape[1], dtype=np.int64)
    for i in range(len(out)):
        c, gene, new = pairs.cells[i], pairs.genes[i], pairs.values[i]
        out[i] = sums[c]
        if gene < 0 or X[c, gene] == new:
            continue
        moved = False
        walked = -1
        for k in range(first[gene], first[gene + 1]):
            tree = owner[k]
            limit = nodes[tests[k]].threshold
            if tree == walked or (new <= limit) == (X[c, gene] <= limit):
                continue
            walked = tree  # once, however many of its nodes compare otherwise
            at = walk_with(nodes, roots[tree], X[c], gene, new)
            if at == leaf[c, tree]:
                continue
            if whole:
                for s in range(len(bias)):
                    out[i, s] += value[at, s] - value[leaf[c, tree], s]
                continue
            if not moved:
                moved = True
                reached[:] = leaf[c]
            reached[tree] = at
        if moved:  # in the order of the trees, so that it rounds as a full sum does
            out[i] = bias
            for t in range(len(reached)):
                for s in range(len(bias)):
                    out[i, s] += value[reached[t], s]
    return out
