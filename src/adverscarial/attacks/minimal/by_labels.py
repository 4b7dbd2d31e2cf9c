"""Small sets for classifiers that give labels only: no gene of the set can be spared, but smaller ones may exist.

Choosing the gene that lowers the label's share most, again and again, fails: far from the flip no gene alone moves the
share, and the choice is blind. Starting from all genes changed is safe.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def irreducible(order: np.ndarray, reaches: Callable[[np.ndarray], bool], most: int) -> np.ndarray | None:
    """Return a set that reaches the goal, found by halving; about ``log2(genes)`` queries for each of its genes.

    Somewhere along the order the goal is reached: without the first p - 1 genes' successor it is not, with the first p
    it is. Gene number p is kept, the later ones are dropped, and the search goes on with the genes before it, together
    with all that is kept. This needs no assumption about how genes act together.

    Parameters
    ----------
    order
        Genes, those that seem most useful first.
    reaches
        Whether a set of genes reaches the goal.
    most
        Give up when more genes than this are kept.

    Returns
    -------
    None where all genes together do not reach the goal, or too many are kept.
    """
    if not reaches(order):
        return None
    kept = order[:0]
    while len(kept) <= most:
        if reaches(kept):
            return kept
        low, high = 0, len(order)  # with `high` genes it is reached, with `low` it is not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reaches(np.concatenate([order[:middle], kept])) else (middle, high)
        kept, order = np.append(kept, order[high - 1]), order[: high - 1]
    return None


def thinned(genes: np.ndarray, reaches: Callable[[np.ndarray], bool]) -> np.ndarray:
    """Return `genes` without each one that can be left out while the goal is reached, tried in their order."""
    kept = np.ones(len(genes), dtype=bool)
    for j in range(len(genes)):
        kept[j] = False
        kept[j] = not reaches(genes[kept])
    return genes[kept]
