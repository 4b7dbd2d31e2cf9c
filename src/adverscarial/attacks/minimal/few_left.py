"""Sizes that are closed by trying all combinations of genes that a good bound leaves.

The bound of :mod:`adverscarial.attacks.minimal.shared_set` says how many votes any m genes can win: a constant, and
what each of them gains at most. Where it is only a little above what is needed for the best m genes, it is below for
nearly all other sets, and those that are left can be tried with the true scores: the genes are put in order of their
gains, so that the search turns back as soon as no set with the genes chosen so far gains enough. (In integer
programming: fixing by reduced costs, then enumeration.)
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.shared_set import ROUNDING, Rows, bound_of, gained_by, rows_of, voters
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_votes import combination_reaching, combinations_above

_WORK = 1e9  # combinations times cells times labels, beyond which they are not tried
_AT_ONCE = 1e8  # the same, up to which they are tried without a bound
_GENES = 3000  # genes that the bound is fitted on
_STEPS, _FIRST = 2500, 200  # of the fit at most; and those after which a bound far above what is needed is given up
_HOPE = 0.01  # share of the votes needed, by which a bound may be above


class Tried(NamedTuple):
    """What trying all combinations gave: a set of genes with which the goal may win; None if there is none."""

    genes: np.ndarray | None


def tried(
    own: OwnSets, winner: int, loser: int, m: int, *, mixtures: list[np.ndarray], go_on: Callable[[], bool]
) -> Tried | None:
    """Try all sets of exactly `m` genes that may let `winner` overtake `loser`; None where they are too many.

    Genes that do nothing are left out: a set with one of them is a smaller set, and those must be refuted before.

    Parameters are those of :func:`adverscarial.attacks.minimal.shared_set.refutation`.
    """
    moves = own.moves
    if not isinstance(moves, LinearMoves):
        return None
    work = len(moves.codes) * moves.scores.shape[1]
    every = np.flatnonzero(moves.steps.any(axis=0) & moves.weights.any(axis=1))
    if comb(len(every), m) * work <= _AT_ONCE:
        return _combined(own, winner, every, np.zeros(len(every)), 0.0, m)
    need = own.race.need(winner, loser)
    joins, leaves = voters(own, winner, loser, m)
    if len(joins) + len(leaves) < need:
        return Tried(None)
    rows, n_votes = rows_of(own, winner, joins, leaves, m, mixtures), len(joins) + len(leaves)
    y = _tightest(rows, n_votes, m, need, go_on) if m < moves.n_genes and len(rows.vote) else None
    if y is None:
        return None
    gained = gained_by(y, rows.coefficients)
    excess = bound_of(y, rows.vote, gained, n_votes, m) - (need - ROUNDING * n_votes)
    if excess < 0:
        return Tried(None)
    order = np.argsort(-gained, kind="stable")
    gained = gained[order]
    least = float(gained[:m].sum()) - excess  # the bound of a set whose genes gain less is too low
    left = gained >= gained[m - 1] - excess
    most = int(_WORK // work) + 1
    if combinations_above(gained[left], m, least, most) >= most:
        return None
    return _combined(own, winner, order[left], gained[left], least, m)


def _combined(own: OwnSets, winner: int, genes: np.ndarray, gained: np.ndarray, least: float, m: int) -> Tried:
    """Try all combinations of `m` genes that gain `least` or more; the genes that gain most come first."""
    moves = own.moves
    assert isinstance(moves, LinearMoves)
    hidden = moves.tolerance * moves.size + moves.margin  # what rounding may hide: the label is then left open
    steps = np.ascontiguousarray(np.take(moves.steps, genes, axis=1).T)
    found, chosen = combination_reaching(
        moves.scores, steps, moves.weights[genes], hidden, own.race.rank, winner, m, gained, least
    )
    return Tried(np.sort(genes[chosen]) if found else None)


def _tightest(rows: Rows, n_votes: int, m: int, need: int, go_on: Callable[[], bool]) -> np.ndarray | None:
    """Return weights of the rows with about the lowest bound; None where it is far above what is needed.

    Subgradient steps of Polyak's length towards what is needed, shorter ones where they bring nothing.
    """
    n_genes = rows.coefficients.shape[1]
    some = np.arange(n_genes)
    if n_genes > _GENES + 2 * m:
        some = np.argpartition(-rows.coefficients.sum(axis=0), _GENES + 2 * m)[: _GENES + 2 * m]
    coefficients = np.ascontiguousarray(rows.coefficients[:, some])
    y: np.ndarray = 0.5 / np.maximum(np.bincount(rows.vote, minlength=n_votes), 1)[rows.vote]
    best, best_y, length, vain = np.inf, y, 1.0, 0
    for step in range(_STEPS):
        gained = y.astype(np.float32) @ coefficients
        covered = np.bincount(rows.vote, weights=y, minlength=n_votes)
        top = np.argpartition(-gained, m)[:m]
        value = float(np.maximum(0.0, 1.0 - covered).sum() + gained[top].sum(dtype=np.float64))
        vain += 1
        if value < best - 1e-6:
            best, best_y, vain = value, y, 0
        if vain > 50:
            y, length, vain = best_y, length / 2, 0
            continue
        if length < 1e-3 or best < need - 1e-3:
            break
        if step % 16 == 15 and (not go_on() or (step > _FIRST and best > need + max(1.0, _HOPE * need))):
            return None
        used = np.zeros(len(some), dtype=np.float32)
        used[top] = 1.0
        slope = (coefficients @ used).astype(np.float64) - (covered < 1.0)[rows.vote]
        slope[(y == 0) & (slope > 0)] = 0.0
        square = float(slope @ slope)
        if square == 0:
            break
        y = np.maximum(0.0, y - length * (value - need + 2e-3) / square * slope)
    return best_y
