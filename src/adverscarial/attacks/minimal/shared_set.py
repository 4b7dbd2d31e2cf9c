"""A bound for one set of genes that must serve all cells.

With own sets, each cell may use its best genes. But one set S of m genes must win them all. Take any cell that must
gain a deficit d on a rival, and let gene j gain G_j there at most: S wins it only if the sum over S of
``min(1, G_j / d)`` is at least 1 (a *row*). A vote can have several rows, all of which must hold. So, for any weights
y >= 0 of the rows,

    votes won  <=  sum over votes of max(0, 1 - sum of y of its rows)  +  the m largest over genes of (y @ rows).

Why: for a vote that S wins, all its rows are at least 1, so ``1 <= max(0, 1 - Y) + y . (its rows over S)`` with Y the
sum of its y; for one that S does not win, the right side is not negative. Summed over votes, the last part is a sum
over the m genes of S, which is at most the m largest. This holds for *every* y, so no solver has to be trusted: a poor
y only gives a poor bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.classifiers.scorers.moves import pair

_STEPS = 150
_GENES = 1500  # genes that the weights are fitted on, beside those that m allows
ROUNDING = 1e-7  # of the number of votes: the right side must be this much below what is needed


#: kind of the rows of cells that leave the loser
LEAVE = -1


class Weights(NamedTuple):
    """Weights y of rows; see the top of this file. Empty where there are too few votes to win, whatever the genes.

    Attributes
    ----------
    kind
        What each row's cell must reach: the score of the label of that number; behind the labels, the mixture of that
        number; or :data:`LEAVE`.
    cell
        Position of its cell.
    y
        Its weight.
    """

    kind: np.ndarray
    cell: np.ndarray
    y: np.ndarray


@dataclass
class Rows:
    """Rows of all votes: which vote each belongs to, and coefficients, float32, shape (rows, genes)."""

    vote: np.ndarray
    coefficients: np.ndarray
    kind: np.ndarray
    cell: np.ndarray


def refuted(
    own: OwnSets, winner: int, loser: int, m: int, *, mixtures: list[np.ndarray], go_on: Callable[[], bool]
) -> bool:
    """Return whether :func:`refutation` finds a proof."""
    return refutation(own, winner, loser, m, mixtures=mixtures, go_on=go_on) is not None


def refutation(
    own: OwnSets, winner: int, loser: int, m: int, *, mixtures: list[np.ndarray], go_on: Callable[[], bool]
) -> Weights | None:
    """Return weights which prove that no set of at most `m` genes lets `winner` overtake `loser`; None: not found.

    Parameters
    ----------
    own
        What each cell needs at least; cells that need more than `m` cannot be won.
    winner, loser
        The labels.
    m
        Number of genes.
    mixtures
        Weighted means of rivals, see :meth:`OwnSets.beat_mixture`: one more row for each.
    go_on
        Asked now and then; False stops without a proof.
    """
    race = own.race
    need = race.need(winner, loser)
    joins, leaves = voters(own, winner, loser, m)
    if len(joins) + len(leaves) < need:
        none = np.empty(0, dtype=np.int64)
        return Weights(none, none, np.empty(0))
    rows = rows_of(own, winner, joins, leaves, m, mixtures)
    y = _refute(rows, len(joins) + len(leaves), m, need, go_on)
    return None if y is None else Weights(rows.kind, rows.cell, y)


def voters(own: OwnSets, winner: int, loser: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells that may join the winner with at most `m` genes, and those that may leave the loser."""
    codes = own.race.codes
    joins = np.flatnonzero((own.joins[winner] <= m) & (codes != winner))
    return joins, np.flatnonzero((own.leave <= m) & (codes == loser))


def rows_of(
    own: OwnSets, winner: int, joins: np.ndarray, leaves: np.ndarray, m: int, mixtures: list[np.ndarray]
) -> Rows:
    """Return the rows of the cells that can join the winner, and of those that can leave the loser."""
    moves, codes, n = own.moves, own.moves.codes, own.race.n_labels
    votes, blocks, kind, cells = [], [], [], []
    kinds = {k: pair(winner, k, n) for k in range(n) if k != winner}
    for number, mixture in enumerate(mixtures, start=n):
        kinds[number] = -mixture
        kinds[number][winner] += 1.0
    for number, c in kinds.items():
        shares, behind = _shares(own, c, joins, m)
        votes.append(behind)
        blocks.append(shares)
        kind.append(np.full(len(behind), number))
        cells.append(joins[behind])
    if len(leaves):
        label = int(codes[leaves[0]])
        best = np.zeros((len(leaves), moves.n_genes), dtype=np.float32)
        free = np.zeros(len(leaves), dtype=bool)
        for k in range(n):
            near = np.flatnonzero(own.own[leaves, k] <= m)  # a label that needs more beats none of them
            if k != label and len(near):
                shares, behind = _shares(own, pair(k, label, n), leaves[near], m)
                best[near[behind]] = np.maximum(best[near[behind]], shares)
                free[np.delete(near, behind)] = True
        votes.append(len(joins) + np.flatnonzero(~free))
        blocks.append(best[~free])
        kind.append(np.full(len(blocks[-1]), LEAVE))
        cells.append(leaves[~free])
    return Rows(*map(np.concatenate, (votes, blocks, kind, cells)))


def _shares(own: OwnSets, c: np.ndarray, cells: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients ``min(1, G / deficit)`` of the cells that have a deficit, and which cells these are."""
    t, G = own.moves.bound(c, cells, m)
    hidden = own.moves.tolerance * own.moves.size[cells] + own.moves.margin
    deficit = -t - np.maximum(hidden, 1e-11 * own.moves.size[cells])
    behind = np.flatnonzero(deficit > 0)
    shares = G[behind] / deficit[behind, None]
    # rounded up a little: a coefficient that is too large keeps the bound true
    return np.minimum(1.0, shares * (1 + 1e-6)).astype(np.float32) * np.float32(1 + 1e-6), behind


def _refute(rows: Rows, n_votes: int, m: int, need: int, go_on: Callable[[], bool]) -> np.ndarray | None:
    """Look for weights y whose bound is below `need`: fit them on the genes that matter most, then check on all."""
    target = need - ROUNDING * n_votes
    if not len(rows.vote):
        return None  # the votes alone are enough
    n_genes = rows.coefficients.shape[1]
    genes = np.arange(n_genes)
    if n_genes > _GENES + 2 * m:
        total = rows.coefficients.sum(axis=0)
        genes = np.argpartition(-total, _GENES + 2 * m)[: _GENES + 2 * m]
    for _ in range(4):
        y = _fit(rows.vote, np.ascontiguousarray(rows.coefficients[:, genes]), n_votes, m, target, go_on)
        if y is None:
            return None
        gained = gained_by(y, rows.coefficients)
        if bound_of(y, rows.vote, gained, n_votes, m) < target:
            return y
        top = np.argpartition(-gained, min(2 * m, n_genes - 1))[: 2 * m]
        more = np.setdiff1d(top, genes)
        if not len(more):
            return None
        genes = np.concatenate([genes, more])
    return None


def gained_by(y: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return ``y @ coefficients`` in float64, a block of rows at a time."""
    out = np.zeros(coefficients.shape[1])
    for start in range(0, len(y), 256):
        out += y[start : start + 256] @ coefficients[start : start + 256].astype(np.float64)
    return out


def bound_of(y: np.ndarray, vote: np.ndarray, gained: np.ndarray, n_votes: int, m: int) -> float:
    """Return how many votes any `m` genes can win at most; `gained` is what each gene adds: ``y @ coefficients``."""
    covered = np.bincount(vote, weights=y, minlength=n_votes)
    top = np.partition(gained, len(gained) - m)[len(gained) - m :] if m < len(gained) else gained
    return float(np.maximum(0.0, 1.0 - covered).sum() + top.sum())


def _fit(
    vote: np.ndarray, coefficients: np.ndarray, n_votes: int, m: int, target: float, go_on: Callable[[], bool]
) -> np.ndarray | None:
    """Return weights of the rows whose bound, on these genes, is below the target; None when none was found.

    Subgradient steps of Polyak's length: the value to reach is known.
    """
    rows_of = np.bincount(vote, minlength=n_votes)
    y: np.ndarray = (1.0 / np.maximum(rows_of, 1))[vote].astype(np.float64) * 0.5
    n = coefficients.shape[1]
    for step in range(_STEPS):
        gained = y.astype(np.float32) @ coefficients
        covered = np.bincount(vote, weights=y, minlength=n_votes)
        top = np.argpartition(gained, n - m)[n - m :] if m < n else np.arange(n)
        value = float(np.maximum(0.0, 1.0 - covered).sum() + gained[top].sum(dtype=np.float64))
        if value < target - 1e-3:
            return y
        used = np.zeros(n, dtype=np.float32)
        used[top] = 1.0
        slope = (coefficients @ used).astype(np.float64) - (covered < 1.0)[vote]
        slope[(y == 0) & (slope > 0)] = 0.0  # a step there is taken back at once
        length = float(slope @ slope)
        if length == 0 or (step % 16 == 0 and not go_on()):
            return None
        y = np.maximum(0.0, y - (value - target + 2e-3) / length * slope)
    return None
