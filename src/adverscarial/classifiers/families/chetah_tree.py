"""CHETAH's tree of cell types: which ones are alike, by the rank correlation of their profiles."""

from __future__ import annotations

import numpy as np

from adverscarial.classifiers.scorers.ranks import centred_ranks


def distances(profiles: np.ndarray) -> np.ndarray:
    """Return 1 - |Spearman rho| between the profiles over all genes; a constant profile has rho 0."""
    ranks = centred_ranks(profiles)
    products = ranks @ ranks.T
    power = np.diag(products).astype(np.float64)
    scale = np.sqrt(np.outer(power, power))
    apart: np.ndarray = 1 - np.abs(np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0))
    np.fill_diagonal(apart, 0)
    return apart


def tree_of(distances: np.ndarray) -> tuple[list[tuple[list[int], list[int]]], np.ndarray]:
    """Return the two branches of each node, numbered depth first, and the node below each branch (-1: none)."""
    from scipy.cluster.hierarchy import cut_tree, linkage  # large, and a process that only attacks does not need it
    from scipy.spatial.distance import squareform

    nodes: list[tuple[list[int], list[int]]] = []
    child: list[list[int]] = []

    def grow(types: list[int]) -> int:
        within = squareform(distances[np.ix_(types, types)], checks=False)
        side = cut_tree(linkage(within, method="average"), n_clusters=[2])[:, 0]
        first = [t for t, s in zip(types, side, strict=True) if s == side[0]]  # branch 1 holds the first type
        branches = first, [t for t in types if t not in first]
        number = len(nodes)
        nodes.append(branches)
        child.append([-1, -1])
        for b, branch in enumerate(branches):
            if len(branch) > 1:
                child[number][b] = grow(branch)
        return number

    grow(list(range(len(distances))))
    return nodes, np.array(child)


def opposites(branches: tuple[list[int], list[int]]) -> list[tuple[int, list[int]]]:
    """Return each type of a node with the types of its opposite branch, branch 1 first."""
    first, second = branches
    return [(t, second) for t in first] + [(t, first) for t in second]
