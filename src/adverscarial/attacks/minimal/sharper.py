"""Sharper proofs for trees, where the bound of the cluster hangs on them: they cost some hundred times as much."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adverscarial.attacks.minimal.own_sets import OwnSets, fewest_to_win
from adverscarial.classifiers.scorers.moves import pair
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.tree_moves import TreeMoves

_WORK = 7e8  # numbers that are looked at for one goal, a few seconds; a time limit would make answers depend on luck
_STEPS = (15, 100)  # fewer prove nothing more, more bring next to nothing
_SAMPLE = 5  # cells by which the work is estimated
_RISE = 1.5  # of the bound, that is reckoned with


def sharpen(own: OwnSets, winner: int, enough: int, go_on: Callable[[], bool], *, leaves: bool) -> None:
    """Raise the bounds of the cells without which a label could win with no more genes than the bound says.

    Parameters
    ----------
    own
        What each cell needs at least, which is raised.
    winner
        The label.
    enough
        Proofs of more genes are of no use.
    go_on
        Asked before each proof; False ends them.
    leaves
        Also of cells that may leave their label for any other.
    """
    moves = own.moves
    assert isinstance(moves, TreeMoves)
    level = own.lower(winner)[0]
    expected = _decisive(own, winner, min(enough - 1, int(_RISE * level)), leaves=leaves)
    if not len(expected) or level >= enough:
        return
    sample = expected[:: -(-len(expected) // _SAMPLE), 0]
    work = float(np.mean([moves.work(int(cell)) for cell in sample])) * len(expected)
    steps = int(min(_STEPS[1], _WORK // max(work, 1.0)))
    if steps >= _STEPS[0]:
        done = np.zeros_like(own.own, dtype=bool)
        _raise(own, winner, done, enough, steps, go_on, leaves=False)
        if leaves:
            _raise(own, winner, done, enough, steps, go_on, leaves=True)


def _raise(
    own: OwnSets, winner: int, done: np.ndarray, enough: int, steps: int, go_on: Callable[[], bool], *, leaves: bool
) -> None:  # fmt: skip
    """Prove what is not `done`, bool, shape (cells, labels), as long as that may raise the bound of the cluster.

    Those come first that seem to need fewest genes. Once they are done, they limit the bound of the cluster, and of
    each other one no more has to be proven than this.
    """
    moves, codes = own.moves, own.race.codes
    assert isinstance(moves, TreeMoves)
    while (level := own.lower(winner)[0]) < enough:
        pairs = _decisive(own, winner, enough - 1, leaves=leaves)
        pairs = pairs[~done[pairs[:, 0], pairs[:, 1]]]
        most = min(enough, _most(own, winner, pairs))
        needed = own.own[pairs[:, 0], pairs[:, 1]]
        if most <= level or not (needed <= level).any() or not go_on():
            return
        cell, rival = pairs[np.argmax(np.where(needed <= level, needed, -1)) if leaves else np.argmin(needed)]
        done[cell, rival] = True
        label = int(codes[cell])
        c, strict = pair(int(rival), label, own.race.n_labels), bool(rival > label)
        proven = moves.fewest_sharply(c, int(cell), strict=strict, enough=most, steps=steps)
        own.own[cell, rival] = max(proven, int(own.own[cell, rival]))
        own.joins[int(rival)][cell] = max(proven, int(own.joins[int(rival)][cell]))


def _most(own: OwnSets, winner: int, open_pairs: np.ndarray) -> int:
    """Return the bound of the cluster if none of these cells could get these labels."""
    needed, joins = own.own.copy(), own.joins[winner].copy()
    cells, rivals = open_pairs.T
    needed[cells, rivals] = joins[cells[rivals == winner]] = NEVER
    return fewest_to_win(own.race, needed.min(axis=1), joins, winner)[0]


def _decisive(own: OwnSets, winner: int, level: int, *, leaves: bool) -> np.ndarray:
    """Return cells and the labels they may get with no more genes than `level`, shape (pairs, 2).

    Those that may join the winner, and those that may leave any other label.
    """
    codes = own.race.codes
    joins = np.flatnonzero((own.joins[winner] <= level) & (codes != winner))
    pairs = np.column_stack([joins, np.full(len(joins), winner)])
    if leaves:
        others = own.own <= level
        others[:, winner] = False
        others[codes == winner] = False
        pairs = np.concatenate([pairs, np.argwhere(others)])
    return pairs
