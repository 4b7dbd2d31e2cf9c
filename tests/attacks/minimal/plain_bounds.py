"""The tiny models of the tests beside this file, as a checker of certificates reads them."""

from __future__ import annotations

import numpy as np

from adverscarial.classifiers.plain import PlainNetwork
from adverscarial.classifiers.scorers.relu_moves import ReluMoves
from adverscarial.classifiers.scorers.tree_moves import TreeMoves
from adverscarial.evaluation.certificate_network import NetworkBounds
from adverscarial.evaluation.certificate_trees import TreeBounds
from attacks.minimal.brute import Case


def tree_bounds(case: Case) -> TreeBounds:
    moves = case.moves
    assert isinstance(moves, TreeMoves)
    old = moves._state._X.astype(float)
    new = old.copy()
    new[:, moves._genes] = moves._values
    tested = moves._trees.narrowed[1]
    plain = moves._trees.plain(np.arange(old.shape[1]), list(case.labels), cut=moves._state._cut)
    return TreeBounds(plain, old[:, tested], new[:, tested])


def network_bounds(case: Case) -> NetworkBounds:
    """The sums of the first layer are genes that do not move, one for each unit."""
    moves = case.moves
    assert isinstance(moves, ReluMoves)
    units = moves._A.shape[1]
    first = np.vstack([moves._first, np.eye(units)]), np.zeros(units)
    old = np.hstack([np.zeros_like(moves._steps), moves._A])
    names = [f"g{j}" for j in range(len(first[0]))]
    plain = PlainNetwork(names, list(case.labels), [first, *moves._layers], single=False)
    return NetworkBounds(plain, old, old + np.hstack([moves._steps, np.zeros_like(moves._A)]))
