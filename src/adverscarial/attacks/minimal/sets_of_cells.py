"""A small set of genes for each single cell, where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adverscarial.attacks.minimal.cell_sets import smallest_for_cell
from adverscarial.attacks.minimal.per_cell import UNKNOWN, PerCell
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.moves import Moves, pair
from adverscarial.classifiers.scorers.prefixes import NEVER


def sets_of_cells(
    moves: Moves, found: PerCell, own: np.ndarray, rivals: Sequence[int], go_on: Callable[[], bool] = lambda: True
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield cells with the smallest set that was found to give each another label; cells without one are left out.

    Parameters
    ----------
    moves
        The cells.
    found
        What is known of them.
    own
        Genes that each cell needs at least for each label, see :attr:`OwnSets.own`: the nearest label is tried first.
    rivals
        Labels that count as another one.
    go_on
        Asked before each cell; False ends the search.
    """
    for cell, (lower, upper, towards) in enumerate(zip(*found, strict=True)):
        if not go_on():
            return
        label = int(moves.codes[cell])
        if lower >= NEVER:
            continue
        if upper != UNKNOWN and isinstance(moves, LinearMoves):
            if upper < NEVER:  # its largest gains are enough: what is proven of weighted sums
                gain = moves.bound(pair(int(towards), label, own.shape[1]), np.array([cell]), int(upper))[1][0]
                yield cell, np.sort(np.argsort(-gain, kind="stable")[:upper])
            continue
        nearest_first = [int(k) for k in np.lexsort((-moves.scores[cell], own[cell])) if k in rivals and k != label]
        genes = smallest_for_cell(moves.part(np.array([cell])), nearest_first, int(lower))
        if genes is not None:
            yield cell, genes
