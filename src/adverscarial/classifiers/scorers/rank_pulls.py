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
def _ahead(scores: np.ndarray, model: Model, node: int, branch: int) -> tuple[float, float]:
    """Return by how much a branch's best score is above the other branch's best, and above its mean."""
    start, split, end = model.node_start[node], model.node_split[node], model.node_start[node + 1]
    own, other = (scores[start:split], scores[split:end]) if branch == 0 else (scores[split:end], scores[start:split])
    return own.max() - other.max(), own.max() - other.mean()


@compiled_within
def _lack(scores: np.ndarray, model: Model, way: Way, threshold: float) -> float:
    total = 0.0
    for i in range(len(way.nodes)):
        best, mean = _ahead(scores, model, way.nodes[i], way.branches[i])
        total += min(_CAP, best) + min(_CAP, mean - threshold)
    if way.stuck >= 0:
        first, first_mean = _ahead(scores, model, way.stuck, 0)
        sure = first_mean if first >= 0 else _ahead(scores, model, way.stuck, 1)[1]
        total += min(_CAP, threshold - sure)
    return _CAP * (2 * len(way.nodes) + (way.stuck >= 0)) - total


@compiled_within
def _on_the_way(model: Model, way: Way) -> np.ndarray:
    """Return which pairs stand at the nodes of a way."""
    met = np.zeros(len(model.power), dtype=np.bool_)
    for node in way.nodes:
        met[model.node_start[node] : model.node_start[node + 1]] = True
    if way.stuck >= 0:
        met[model.node_start[way.stuck] : model.node_start[way.stuck + 1]] = True
    return met


@compiled
def pulls(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, way: Way, width: float) -> np.ndarray:
    """Return by how much the cells' lack becomes smaller with each gene changed alone, summed over the cells.

    What is summed is ``lack / (lack + width)``, so cells that lack little count most.

    Parameters are those of :func:`~adverscarial.classifiers.scorers.rank_moves.changed`.
    """
    first, entry_pair, entry_place = tree.entries
    model, threshold = tree.model, tree.threshold
    n_pairs, n = model.lists.shape
    met = _on_the_way(model, way)
    room = room_for(state, tree)
    total, before = np.zeros(len(columns)), np.zeros(n_pairs)
    for cell in range(len(state.numbers)):
        lists = lists_at(cell, state, room)
        for pair in range(n_pairs):
            if not met[pair]:
                continue
            score = score_now(cell, pair, state, tree, lists, room)
            rho = _rho(lists.product[pair], lists.ties[pair], model.power[pair], n)
            before[pair] = score + _OF_RHO * rho
        lack = _lack(before, model, way, threshold)
        near = 1.0 / (lack + width)
        now = before.copy()
        for k in range(len(columns)):
            column = columns[k]
            old, new = state.numbers[cell, column], to[cell, column]
            if new == old:
                continue
            for entry in range(first[column], first[column + 1]):
                pair = entry_pair[entry]
                if met[pair]:
                    a = model.ranks[pair, entry_place[entry]]
                    product, ties = gained(lists.below[pair], lists.total[pair], a, old, new)
                    rho = _rho(lists.product[pair] + product, lists.ties[pair] + ties, model.power[pair], n)
                    now[pair] = score_at(rho, pair, tree.steps) + _OF_RHO * rho
            less = _lack(now, model, way, threshold)
            total[k] += (lack - less) / (less + width) * near
            for entry in range(first[column], first[column + 1]):
                now[entry_pair[entry]] = before[entry_pair[entry]]
    return total
