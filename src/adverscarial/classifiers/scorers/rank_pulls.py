"""How much nearer to a label one changed gene brings CHETAH's cells: it guides searches, and proves nothing.

A cell gets a label if it takes, at each node on the way, the branch that leads there: the branch's best score must be
above the other branch's best one, and above its mean by the threshold. What is missing of that, summed over the nodes,
is the cell's *lack*. Scores are shares of reference cells, and stay as they are where a cell is unlike all of them, so
a part of the correlation itself is added.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.rank_lists import Tree, gained, score_at
from adverscarial.classifiers.scorers.rank_moves import State, lists_at, room_for, score_now
from adverscarial.classifiers.scorers.ranks import Model, _rho

_OF_RHO = 0.25
_CAP = 0.1  # by how much it helps to be ahead


class Way(NamedTuple):
    """Where a label lies in the tree.

    Attributes
    ----------
    nodes, branches
        Nodes that must be passed, and the branch to take at each, 0 or 1.
    stuck
        The node at which the cell must stay; -1 for a cell type.
    """

    nodes: np.ndarray
    branches: np.ndarray
    stuck: int


def way_to(model: Model, code: int, n_classes: int) -> Way:
    """Return the way to a label: a class, or `n_classes` + the node (from 0) where a cell gets stuck."""
    nodes, branches = [], []
    if code < n_classes:
        node = 0
        while node >= 0:
            first = model.pair_type[model.node_start[node] : model.node_split[node]]
            nodes.append(node)
            branches.append(0 if code in first else 1)
            node = int(model.child[node, branches[-1]])
        return Way(np.array(nodes), np.array(branches), -1)
    node = code - n_classes
    while node > 0:
        node, branch = (int(found[0]) for found in np.nonzero(model.child == node))
        nodes.append(node)
        branches.append(branch)
    return Way(np.array(nodes, dtype=np.int64), np.array(branches, dtype=np.int64), code - n_classes)


@compiled_within
def _ahead(scores: np.ndarray, nodes: np.ndarray, node: int, branch: int) -> tuple[float, float]:
    """Return by how much a branch's best score is above the other branch's best, and above its mean."""
    start, split, end = nodes[node, 0], nodes[node, 1], nodes[node, 2]
    own, other = (scores[start:split], scores[split:end]) if branch == 0 else (scores[split:end], scores[start:split])
    return own.max() - other.max(), own.max() - other.mean()


@compiled_within
def _lack(scores: np.ndarray, nodes: np.ndarray, way: Way, threshold: float) -> float:
    total = 0.0
    for i in range(len(way.nodes)):
        best, mean = _ahead(scores, nodes, way.nodes[i], way.branches[i])
        total += min(_CAP, best) + min(_CAP, mean - threshold)
    if way.stuck >= 0:
        first, first_mean = _ahead(scores, nodes, way.stuck, 0)
        sure = first_mean if first >= 0 else _ahead(scores, nodes, way.stuck, 1)[1]
        total += min(_CAP, threshold - sure)
    return _CAP * (2 * len(way.nodes) + (way.stuck >= 0)) - total


@compiled_within
def _on_the_way(n_pairs: int, nodes: np.ndarray, way: Way) -> np.ndarray:
    """Return which pairs stand at the nodes of a way."""
    met = np.zeros(n_pairs, dtype=np.bool_)
    for node in way.nodes:
        met[nodes[node, 0] : nodes[node, 2]] = True
    if way.stuck >= 0:
        met[nodes[way.stuck, 0] : nodes[way.stuck, 2]] = True
    return met


@compiled
def pulls(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, way: Way, width: float) -> np.ndarray:
    """Return by how much the cells' lack becomes smaller with each gene changed alone, summed over the cells.

    What is summed is ``lack / (lack + width)``, so cells that lack little count most.

    Parameters are those of :func:`~adverscarial.classifiers.scorers.rank_together.changed`.
    """
    first, entries, nodes, threshold = tree.first, tree.entries, tree.nodes, tree.threshold
    n_pairs, n = tree.lists.shape
    met = _on_the_way(n_pairs, nodes, way)
    room = room_for(state, tree)
    total, before = np.zeros(len(columns)), np.zeros(n_pairs)
    for cell in range(len(state.numbers)):
        lists = lists_at(cell, state, room)
        for pair in range(n_pairs):
            if not met[pair]:
                continue
            score = score_now(cell, pair, state, tree, lists, room)
            rho = _rho(lists.sums[pair, 0], lists.sums[pair, 1], tree.power[pair], n)
            before[pair] = score + _OF_RHO * rho
        lack = _lack(before, nodes, way, threshold)
        near = 1.0 / (lack + width)
        now = before.copy()
        for k in range(len(columns)):
            column = columns[k]
            old, new = state.numbers[cell, column], to[cell, column]
            if new == old:
                continue
            for entry in range(first[column], first[column + 1]):
                pair, a = entries[entry, 0], entries[entry, 1]
                if met[pair]:
                    product, ties = gained(lists.counts[pair], a, old, new)
                    rho = _rho(lists.sums[pair, 0] + product, lists.sums[pair, 1] + ties, tree.power[pair], n)
                    now[pair] = score_at(rho, pair, tree.steps) + _OF_RHO * rho
            less = _lack(now, nodes, way, threshold)
            total[k] += (lack - less) / (less + width) * near
            for entry in range(first[column], first[column + 1]):
                now[entries[entry, 0]] = before[entries[entry, 0]]
    return total
