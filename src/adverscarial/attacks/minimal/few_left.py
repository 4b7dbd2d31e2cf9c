"""Sizes that are closed by trying all combinations of genes that a good bound leaves.

The bound of :mod:`adverscarial.attacks.minimal.shared_set` says how many votes any m genes can win: a constant, and
what each of them gains at most. Where it is only a little above what is needed for the best m genes, it is below for
nearly all other sets, and those that are left can be tried with the true scores: the genes are put in order of their
gains, so that the search turns back as soon as no set with the genes chosen so far gains enough. (In integer
programming: fixing by reduced costs, then enumeration.)

Where that bound is too far above, each gene is asked about by itself: a set with it wins a vote only if it and the
best m - 1 other genes for that vote are enough. A gene with which too few votes can be won is in no set, and goes;
without it, fewer votes can be won with others, and so on. Often no gene is left, which is a proof; else sets are built
up gene by gene in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.shared_set import ROUNDING, Rows, bound_of, gained_by, rows_of, voters
from adverscarial.classifiers.scorers.linear_branches import largest_behind, next_set
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_votes import combination_reaching, combinations_above, may_win

_WORK = 1e9  # combinations times cells times labels, beyond which they are not tried
_AT_ONCE = 1e8  # the same, up to which they are tried without a bound
_GENES = 3000  # genes that the bound is fitted on
_STEPS, _FIRST = 2500, 200  # of the fit at most; and those after which a bound far above what is needed is given up
_NUMBERS = 4e7  # rows times genes times sizes that are held for it
_BRANCHED = 4e8  # rows times branches, beyond which a search is given up
_JUDGED = 1000  # of the same, that it costs to judge a set by its scores
_ENOUGH = 1.0 - 1e-6  # what a row must reach; its coefficients were rounded up by more
_HOPE = 0.01  # share of the votes needed, by which a bound may be above


class Tried(NamedTuple):
    """What trying all combinations gave: a set of genes with which the goal may win; None if there is none."""

    genes: np.ndarray | None


def tried(
    own: OwnSets, winner: int, loser: int, m: int, *, mixtures: list[np.ndarray], go_on: Callable[[], bool],
    effort: float = 1.0,
) -> Tried | None:  # fmt: skip
    """Try all sets of exactly `m` genes that may let `winner` overtake `loser`; None where they are too many.

    Genes that do nothing are left out: a set with one of them is a smaller set, and those must be refuted before.

    Parameters are those of :func:`adverscarial.attacks.minimal.shared_set.refutation`, and `effort`: what share of the
    usual work is done before it is given up.
    """
    moves = own.moves
    if not isinstance(moves, LinearMoves):
        return None
    work = len(moves.codes) * moves.scores.shape[1]
    every = np.flatnonzero(moves.steps.any(axis=0) & moves.weights.any(axis=1))
    if comb(len(every), m) * work <= effort * _AT_ONCE:
        return _combined(own, winner, every, np.zeros(len(every)), 0.0, m)
    need = own.race.need(winner, loser)
    joins, leaves = voters(own, winner, loser, m)
    if len(joins) + len(leaves) < need:
        return Tried(None)
    rows, n_votes = rows_of(own, winner, joins, leaves, m, mixtures), len(joins) + len(leaves)
    y = _tightest(rows, n_votes, m, need, go_on) if m < moves.n_genes and len(rows.vote) else None
    if y is None:
        return _branched(own, winner, rows, n_votes, m, need, effort)
    gained = gained_by(y, rows.coefficients)
    excess = bound_of(y, rows.vote, gained, n_votes, m) - (need - ROUNDING * n_votes)
    if excess < 0:
        return Tried(None)
    order = np.argsort(-gained, kind="stable")
    gained = gained[order]
    least = float(gained[:m].sum()) - excess  # the bound of a set whose genes gain less is too low
    left = gained >= gained[m - 1] - excess
    most = int(effort * _WORK // work) + 1
    if combinations_above(gained[left], m, least, most) >= most:
        return _branched(own, winner, rows, n_votes, m, need, effort)
    return _combined(own, winner, order[left], gained[left], least, m)


def _branched(
    own: OwnSets, winner: int, rows: Rows, n_votes: int, m: int, need: int, effort: float
) -> Tried | None:  # fmt: skip
    """Search by branch and bound: genes that are in no set with enough votes are left out, then sets are built up.

    A branch is left where the best genes for each vote, which follow those that are chosen, do not win enough votes.
    """
    moves, n_rows = own.moves, len(rows.vote)
    if m >= moves.n_genes or not n_rows or n_rows * moves.n_genes > _NUMBERS:
        return None
    order = np.argsort(rows.vote, kind="stable")
    ends = np.flatnonzero(np.diff(rows.vote[order], append=n_votes)) + 1
    need -= n_votes - len(ends)  # votes without rows are won with any genes
    genes = _in_some_set(rows.coefficients[order], ends, need, m)
    if len(genes) < m:
        return Tried(None)
    if len(genes) * n_rows * (m + 1) > _NUMBERS:
        return None
    coefficients = rows.coefficients[np.ix_(order, genes)].T
    useful = np.argsort(-coefficients.sum(axis=1), kind="stable")
    genes, coefficients = genes[useful], np.ascontiguousarray(coefficients[useful])
    assert isinstance(moves, LinearMoves)
    hidden = moves.tolerance * moves.size + moves.margin
    behind, found, branches = largest_behind(coefficients, m), genes[:0], int(effort * _BRANCHED // n_rows)
    while True:
        found, looked = next_set(coefficients, behind, ends, need, found, branches)
        branches -= looked + _JUDGED // n_rows
        if not len(found):
            return Tried(None) if branches > 0 else None
        chosen = np.sort(genes[found])
        if may_win(moves.scores_with(chosen), hidden, own.race.rank, winner):
            return Tried(chosen)


def _in_some_set(coefficients: np.ndarray, ends: np.ndarray, need: int, m: int) -> np.ndarray:
    """Return the genes with which, and the best m - 1 others for each vote, at least `need` votes are won."""
    genes, starts = np.arange(coefficients.shape[1]), np.append(0, ends[:-1])
    while len(genes) >= m:
        some = coefficients[:, genes]
        top = -np.partition(-some, m - 1, axis=1)[:, :m].astype(np.float64)
        whole = top.sum(axis=1)
        others = whole - top.min(axis=1)
        won = np.zeros(len(genes), dtype=np.int64)
        for start, end in zip(starts, ends, strict=True):
            reach = np.minimum(whole[start:end, None], some[start:end] + others[start:end, None])
            won += reach.min(axis=0) >= _ENOUGH
        if (won >= need).all():
            break
        genes = genes[won >= need]
    return genes


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
