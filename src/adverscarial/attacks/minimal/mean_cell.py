"""The smallest set for the mean of some cells, as a linear program: what it weighs guides proofs and searches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from adverscarial.classifiers.scorers.moves import Moves


class MeanCell(NamedTuple):
    """The solution of the linear program; see :func:`mean_cell`."""

    #: how much of each gene is used, from 0 to 1
    use: np.ndarray
    #: what each rival label weighs, shape (labels,)
    mixture: np.ndarray
    #: what each gene gains on that mixture, in the mean over the cells
    gain: np.ndarray


def mean_cell(moves: Moves, winner: int, cells: np.ndarray, *, slack: float = 0.0) -> MeanCell | None:
    """Return the fewest genes (in part) with which a label beats all others in the mean over some cells.

    The program is ``min sum x`` with ``0 <= x <= 1``, such that for each rival the mean gains, summed, make up the mean
    deficit. Its dual says how much each rival matters.

    Parameters
    ----------
    moves
        The cells.
    winner
        The label that should win.
    cells
        Positions of the cells that are averaged.
    slack
        Share of the deficit to gain beyond it.

    Returns
    -------
    None where not even all genes are enough.
    """
    n = moves.scores.shape[1]
    omega = np.zeros((n, len(moves.scores), n))
    effects = np.empty((n, moves.n_genes))
    for k in range(n):
        omega[k][cells, k] = 1 / len(cells)
        effects[k] = moves.effects(omega[k])
    rivals = np.array([k for k in range(n) if k != winner])
    mean = moves.scores[cells].mean(axis=0)
    gain = effects[winner] - effects[rivals]
    deficit = mean[rivals] - mean[winner]
    size = np.abs(gain).max(axis=1)
    used = size > 0
    if (deficit[~used] > 0).any():
        return None
    scaled = gain[used] / size[used, None]
    wanted = deficit[used] / size[used]
    wanted = wanted + slack * np.abs(wanted)
    solved = linprog(np.ones(moves.n_genes), A_ub=-sp.csr_array(scaled), b_ub=-wanted, bounds=(0, 1), method="highs")
    if solved.status != 0:
        return None
    weights = np.maximum(-solved.ineqlin.marginals, 0.0) / size[used]
    mixture = np.zeros(n)
    mixture[rivals[used]] = weights
    if mixture.sum() > 0:
        mixture /= mixture.sum()
    return MeanCell(solved.x, mixture, mixture[rivals] @ gain)


def nearest(moves: Moves, codes: np.ndarray, winner: int, share: float) -> np.ndarray:
    """Return that share of the cells with other labels: those that lack least to a label, the nearest first."""
    outside = np.flatnonzero(codes != winner)
    scores = moves.scores[outside]
    lack = np.delete(scores, winner, axis=1).max(axis=1) - scores[:, winner]
    return outside[np.argsort(lack, kind="stable")[: max(1, round(share * len(outside)))]]
