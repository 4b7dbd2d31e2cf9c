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
from adverscarial.classifiers.scorers.rank_moves import Room, State, lists_at, room_for, score_now
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
def _ahead_of(scores: np.ndarray, nodes: np.ndarray, way: Way, threshold: float, ahead: np.ndarray, i: int) -> None:
    """Fill in what a cell is ahead by at one step of a way; behind the nodes to be passed, that where it must stay."""
    if i < len(way.nodes):
        best, mean = _ahead(scores, nodes, way.nodes[i], way.branches[i])
        ahead[i] = min(_CAP, best) + min(_CAP, mean - threshold)
    else:
        first, first_mean = _ahead(scores, nodes, way.stuck, 0)
        sure = first_mean if first >= 0 else _ahead(scores, nodes, way.stuck, 1)[1]
        ahead[i] = min(_CAP, threshold - sure)


@compiled_within
def _lack(ahead: np.ndarray, n_nodes: int) -> float:
    total = 0.0
    for i in range(len(ahead)):
        total += ahead[i]
    return _CAP * (n_nodes + len(ahead)) - total


@compiled_within
def _on_the_way(n_pairs: int, nodes: np.ndarray, way: Way) -> np.ndarray:
    """Return at which step of a way each pair stands; -1 for those that stand beside it."""
    met = np.full(n_pairs, -1)
    for i in range(len(way.nodes)):
        met[nodes[way.nodes[i], 0] : nodes[way.nodes[i], 2]] = i
    if way.stuck >= 0:
        met[nodes[way.stuck, 0] : nodes[way.stuck, 2]] = len(way.nodes)
    return met


@compiled_within
def _met(tree: Tree, columns: np.ndarray, met: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the entries of each column in lists that stand on the way, and where each column's begin."""
    start, found, n = np.zeros(len(columns) + 1, dtype=np.int64), np.empty_like(tree.entries), 0
    for k in range(len(columns)):
        for entry in range(tree.first[columns[k]], tree.first[columns[k] + 1]):
            if met[tree.entries[entry, 0]] >= 0:
                for part in range(found.shape[1]):  # as a whole, numba would compile for seconds
                    found[n, part] = tree.entries[entry, part]
                n += 1
        start[k + 1] = n
    return start, found


def pulls(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, way: Way, width: float) -> np.ndarray:
    """Return by how much the cells' lack becomes smaller with each gene changed alone, summed over the cells.

    What is summed is ``lack / (lack + width)``, so cells that lack little count most.

    Parameters are those of :func:`~adverscarial.classifiers.scorers.rank_together.changed`.
    """
    total = np.zeros(len(columns))
    _add_pulls(state, tree, columns, to, way, width, room_for(state, tree), total)
    return total


@compiled
def _add_pulls(
    state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, way: Way, width: float, room: Room, total: np.ndarray
) -> None:
    nodes, threshold, power, steps = tree.nodes, tree.threshold, tree.power, tree.steps
    n_pairs, n = tree.lists.shape
    met = _on_the_way(n_pairs, nodes, way)
    first, entries = _met(tree, columns, met)
    before = np.zeros(n_pairs)
    n_nodes = len(way.nodes)
    ahead = np.zeros(n_nodes + (way.stuck >= 0))
    changed = np.zeros(len(ahead), dtype=np.bool_)
    for cell in range(len(state.numbers)):
        lists = lists_at(cell, state, room)
        for pair in range(n_pairs):
            if met[pair] < 0:
                continue
            score = score_now(cell, pair, state, tree, lists, room)
            rho = _rho(lists.sums[pair, 0], lists.sums[pair, 1], power[pair], n)
            before[pair] = score + _OF_RHO * rho
        for i in range(len(ahead)):
            _ahead_of(before, nodes, way, threshold, ahead, i)
        lack = _lack(ahead, n_nodes)
        near = 1.0 / (lack + width)
        now, then = before.copy(), ahead.copy()
        counts, sums, numbers, others = lists.counts, lists.sums, state.numbers[cell], to[cell]
        for k in range(len(columns)):
            old, new = numbers[columns[k]], others[columns[k]]
            if new == old or first[k] == first[k + 1]:
                continue
            for entry in range(first[k], first[k + 1]):
                pair, a = entries[entry, 0], entries[entry, 1]
                product, ties = gained(counts[pair], a, old, new)
                rho = _rho(sums[pair, 0] + product, sums[pair, 1] + ties, power[pair], n)
                now[pair] = score_at(rho, pair, steps) + _OF_RHO * rho
                changed[met[pair]] = True
            for i in range(len(ahead)):
                if changed[i]:
                    _ahead_of(now, nodes, way, threshold, then, i)
            less = _lack(then, n_nodes)
            total[k] += (lack - less) / (less + width) * near
            for entry in range(first[k], first[k + 1]):
                now[entries[entry, 0]] = before[entries[entry, 0]]
            for i in range(len(ahead)):
                then[i], changed[i] = ahead[i], False
