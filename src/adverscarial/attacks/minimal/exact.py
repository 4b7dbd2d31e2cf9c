"""Small cases closed by a mixed-integer program, for weighted sums.

Its variables say which genes change, and which label each cell gets. Every set of genes with its labels is a solution,
so what the solver proves about solutions is true of sets. Each constraint is moved outward a little, because the solver
itself keeps constraints only within a tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.classifiers.scorers.linear_moves import LinearMoves

#: how far constraints are moved outward, as a share of their largest number; above the solver's tolerance
_OUTWARD = 1e-5
_QUICK = 400_000  # numbers in the constraints, and labels that cells can get, up to which a program counts as small
_CHOICES = 60
_NODES = {"auto": 300, "long": 20_000}  # of the solver's search tree; small programs end there, at any speed
#: seconds for a large program, whose nodes can take minutes each
_LONGEST = 60.0


class Closed(NamedTuple):
    """What the program proved and found."""

    #: no set of fewer genes reaches the goal
    lower: int
    #: a set that reaches it by the program, to be confirmed; None where it gave none
    genes: np.ndarray | None


@dataclass(frozen=True)
class _Program:
    """Constraints ``matrix @ (x, y) >= low``: x for the genes, y for each cell and label."""

    genes: np.ndarray
    matrix: sp.csr_array
    low: np.ndarray
    allowed: np.ndarray  # which y may be 1
    n_y: int


def close(
    own: OwnSets, goal: int, lower: int, upper: int, *, thorough: bool, seconds: float = np.inf
) -> Closed | None:  # fmt: skip
    """Look for a set of at least `lower` and fewer than `upper` genes with which `goal` wins, or prove that none is.

    Parameters
    ----------
    own
        What each cell needs at least.
    goal
        The label that should win.
    lower, upper
        What is proven, and the size of the best set.
    thorough
        Try large programs too, and search longer.
    seconds
        After which the solver ends; large programs end after a minute at most. What it has proven by then is kept.

    Returns
    -------
    None where the program is too large.
    """
    moves = own.moves
    if not isinstance(moves, LinearMoves):
        return None
    genes = np.flatnonzero(moves.steps.any(axis=0) & moves.weights.any(axis=1))
    n_labels = moves.scores.shape[1]
    reach = np.array([own.joins[k] < upper for k in range(n_labels)]).T | (moves.codes[:, None] == np.arange(n_labels))
    choices, larger = int(reach.sum()), 20 if thorough else 1
    if choices > larger * _CHOICES or choices * (n_labels - 1) * (len(genes) + 1) > larger * _QUICK:
        return None
    program = _program(own, goal, genes, reach, lower, upper)
    n = len(genes) + program.n_y
    cost = np.concatenate([np.ones(len(genes)), np.zeros(program.n_y)])
    high = np.concatenate([np.ones(len(genes)), program.allowed.astype(float)])
    limit = min(seconds, _LONGEST if thorough else np.inf)
    found = milp(
        cost, integrality=np.ones(n), bounds=Bounds(0, high),
        constraints=LinearConstraint(program.matrix, program.low, np.inf),
        options={
            "node_limit": _NODES["long" if thorough else "auto"], "mip_rel_gap": 0.0,
            **({"time_limit": max(limit, 0.0)} if np.isfinite(limit) else {}),
        },
    )  # fmt: skip
    chosen = None if found.x is None else genes[found.x[: len(genes)] > 0.5]
    if found.status == 2:  # no solution below `upper`
        return Closed(upper, None)
    bound = found.mip_dual_bound
    proven = lower if bound is None or not np.isfinite(bound) else max(lower, int(np.ceil(bound - 1e-4)))
    return Closed(min(proven, upper), chosen)


def _program(own: OwnSets, goal: int, genes: np.ndarray, reach: np.ndarray, lower: int, upper: int) -> _Program:
    """Return the constraints."""
    moves, race = own.moves, own.race
    assert isinstance(moves, LinearMoves)
    n_cells, n_labels = moves.scores.shape
    steps, weights = moves.steps[:, genes], moves.weights[genes]
    blocks, lows = [], []
    for label in range(n_labels):
        cells = np.flatnonzero(reach[:, label])
        for other in range(n_labels):
            if other == label or not len(cells):
                continue
            gain = steps[cells] * (weights[:, label] - weights[:, other])
            now = moves.scores[cells, label] - moves.scores[cells, other]
            fall = np.sort(np.minimum(gain, 0.0), axis=1)[:, : upper - 1].sum(axis=1)
            slack = np.maximum(0.0, -(now + fall)) + 1.0  # so much may be missing where the cell has another label
            outward = _OUTWARD * (1.0 + np.abs(gain).max(axis=1, initial=0) + np.abs(now) + slack)
            outward = outward + moves.tolerance * moves.size[cells]
            # now + gain @ x >= -slack * (1 - y)
            y = sp.csr_array(
                (-slack, (np.arange(len(cells)), cells * n_labels + label)), shape=(len(cells), reach.size)
            )
            blocks.append(sp.hstack([sp.csr_array(gain), y]))
            lows.append(-now - slack - outward)
    votes = np.zeros((n_labels, n_cells, n_labels))
    votes[:, :, goal] = 1.0
    votes[np.arange(n_labels), :, np.arange(n_labels)] -= 1.0
    behind = np.array([float(race.rank[goal] > race.rank[other]) for other in range(n_labels)])
    one = sp.csr_array(np.kron(np.eye(n_cells), np.ones(n_labels)))  # each cell has one label
    none = sp.csr_array((n_cells, len(genes)))
    count = sp.csr_array(np.concatenate([np.ones(len(genes)), np.zeros(reach.size)])[None])
    votes_rows = sp.hstack([sp.csr_array((n_labels, len(genes))), sp.csr_array(votes.reshape(n_labels, -1))])
    keep = np.flatnonzero(np.arange(n_labels) != goal)
    matrix = sp.vstack(
        [*blocks, votes_rows.tocsr()[keep], sp.hstack([none, one]), sp.hstack([none, -one]), count, -count]
    )
    low = np.concatenate(
        [*lows, behind[keep] - 1e-4, np.ones(n_cells) - 1e-6, -np.ones(n_cells) - 1e-6, [lower], [1.0 - upper]]
    )
    return _Program(genes, matrix.tocsr(), low, reach.reshape(-1), reach.size)
