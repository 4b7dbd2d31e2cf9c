"""What CHETAH calls cells whose lists are all known, without a compiled loop: each would have to be compiled first.

Each step takes all cells at a node at once, and does what :mod:`adverscarial.classifiers.scorers.ranks` does cell by
cell, in the same order, so that scores and labels are the same to the last bit.
"""

from __future__ import annotations

import numpy as np

from adverscarial.classifiers.scorers.rank_lists import Tree


def scores_of(sums: np.ndarray, tree: Tree) -> np.ndarray:
    """Return all profile scores, shape (cells, pairs), given sum(a * R) and T of each list, shape (cells, pairs, 2)."""
    n, steps = tree.lists.shape[1], tree.steps
    spread = (n**3 - n - sums[:, :, 1]) // 3
    scale = np.sqrt(tree.power.astype(np.float64) * spread)
    rho = np.divide(sums[:, :, 0], scale, out=np.zeros(spread.shape), where=scale > 0)
    scores = np.empty(rho.shape)
    for pair in range(rho.shape[1]):
        start, end = steps.start[pair], steps.start[pair + 1]
        at = np.searchsorted(steps.edges[start:end], rho[:, pair], side="right")
        scores[:, pair] = steps.scores[start + pair + at]
    return scores


def _means(scores: np.ndarray) -> np.ndarray:
    """Return the mean of each row, added up in the order of :func:`ranks._mean`."""
    mean, rest = np.zeros(len(scores)), np.zeros(len(scores))
    for column in scores.T:
        mean += column
    mean /= scores.shape[1]
    for column in scores.T:
        rest += column - mean
    means: np.ndarray = mean + rest / scores.shape[1]
    return means


def walk_all(scores: np.ndarray, tree: Tree, codes: np.ndarray) -> None:
    """Fill the codes of cells, all of whose scores are known."""
    waiting = [(0, np.arange(len(codes)))]
    while waiting:
        node, cells = waiting.pop()
        start, split, end, *below = (int(number) for number in tree.nodes[node])
        here = scores[cells, start:end]
        best = np.argmax(here, axis=1)
        first = best < split - start
        opposite = np.where(first, _means(here[:, split - start :]), _means(here[:, : split - start]))
        stuck = here[np.arange(len(cells)), best] - opposite < tree.threshold
        codes[cells] = np.where(stuck, tree.n_classes + node, tree.pair_type[start + best])
        for child, there in zip(below, (first, ~first), strict=True):
            if child >= 0:
                waiting.append((child, cells[there & ~stuck]))
