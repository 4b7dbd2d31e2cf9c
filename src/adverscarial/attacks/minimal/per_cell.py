"""How many genes each single cell needs before its label changes, each cell with genes of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.race import Race
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.moves import Moves, pair
from adverscarial.classifiers.scorers.prefixes import NEVER

UNKNOWN = -1  # no set was looked for


class PerCell(NamedTuple):
    """Arrays with one entry per cell."""

    #: fewer genes never change the label; NEVER: no number of genes does
    lower: np.ndarray
    #: that many genes, chosen well, change it; UNKNOWN where no set was looked for
    upper: np.ndarray
    #: the label that needs the fewest genes, a position among the labels
    towards: np.ndarray


def per_cell(moves: Moves, rivals: Sequence[int], own: np.ndarray | None = None) -> PerCell:
    """Return between which numbers the fewest genes lie that give each cell another label.

    For weighted sums both ends are the same, but where rounding could decide a tie: the largest gains towards a rival
    reach it with the fewest genes, and no set of that size gains more.

    Parameters
    ----------
    moves
        The cells.
    rivals
        Labels that count as another one; a cell's own label never does.
    own
        What is known already: see :attr:`OwnSets.own`.
    """
    if own is None:
        own = OwnSets(moves, Race(moves.codes, np.arange(moves.scores.shape[1]), ())).own
    lower, upper, towards = bounded(own, rivals)
    if isinstance(moves, LinearMoves) and len(rivals) == moves.scores.shape[1]:
        upper = lower if moves.tolerance == 0 else _enough(moves, towards)
    return PerCell(lower, upper, towards)


def bounded(own: np.ndarray, rivals: Sequence[int]) -> PerCell:
    """Return the same from lower bounds alone: `own` as :attr:`OwnSets.own`."""
    chosen = np.asarray(rivals, dtype=np.int64)
    if not len(chosen):  # no label counts as another one: all cells keep their own, where `own` is NEVER
        return PerCell(own.max(axis=1), np.full(len(own), NEVER), own.argmax(axis=1))
    lower, towards = own[:, chosen].min(axis=1), chosen[own[:, chosen].argmin(axis=1)]
    return PerCell(lower, np.where(lower >= NEVER, NEVER, UNKNOWN), towards)


def _enough(moves: LinearMoves, towards: np.ndarray) -> np.ndarray:
    """Return how many genes are enough in each cell to reach a label, whatever rounding does."""
    n = moves.scores.shape[1]
    upper = np.full(len(moves.codes), NEVER, dtype=np.int64)
    for label in np.unique(moves.codes):
        for rival in np.unique(towards):
            cells = np.flatnonzero((moves.codes == label) & (towards == rival))
            if rival != label and len(cells):
                needed = moves.fewest(pair(int(rival), int(label), n), cells, strict=bool(rival > label), sure=True)
                upper[cells] = np.maximum(needed, 1)
    return upper


def nearest_gene(moves: Moves, towards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gene that brings each cell nearest to a label, and the share of the gap that it closes alone.

    A share of 1 means that this gene alone is enough; where the family gives bounds only, it is at most that. The gene
    is -1 where none helps.
    """
    n = moves.scores.shape[1]
    gene, share = np.full(len(towards), -1, dtype=np.int64), np.zeros(len(towards))
    for label in np.unique(moves.codes):
        for rival in np.unique(towards):
            cells = np.flatnonzero((moves.codes == label) & (towards == rival))
            if rival == label or not len(cells) or not moves.n_genes:
                continue
            t, G = moves.bound(pair(int(rival), int(label), n), cells, 1)
            best = G.argmax(axis=1)
            gain = G[np.arange(len(cells)), best]
            gene[cells] = np.where(gain > 0, best, -1)
            enough = gain >= -t
            share[cells] = np.where(enough, 1.0, gain / np.where(enough, 1.0, -t))
    return gene, share


def numbers_of_genes(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return numbers of genes as float64: infinite where no number is enough, NaN where none is known."""
    counts = np.asarray(counts, dtype=np.int64)
    return np.where(counts >= NEVER, np.inf, np.where(counts < 0, np.nan, counts.astype(np.float64)))
