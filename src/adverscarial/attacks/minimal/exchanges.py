"""One gene less in a set that flips a cluster, for weighted sums: others take the places of some that are left."""

from __future__ import annotations

import numpy as np

from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.smooth_votes import slope
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_votes import best_added, smooth

LARGEST = 100  # genes of a set up to which exchanges are tried: each round goes over all of them
_STARTS = 4  # genes that are left out first, in turn: those that are missed least
_POOL = 400  # genes that may come in, by their effect with the set, and as many by that without it
_TRIED = 12  # of them, those that are tried exactly for each place
_ROUNDS = 20


class Exchanges:
    """A set of genes, and those that may come in.

    Parameters
    ----------
    moves, race
        The cells.
    genes
        The set.
    tilt, width
        See :func:`~adverscarial.attacks.minimal.smooth_votes.slope`: the votes that exchanges are to raise.
    """

    def __init__(self, moves: LinearMoves, race: Race, genes: np.ndarray, tilt: np.ndarray, width: float) -> None:
        self._race, self._tilt, self._width = race, tilt, width
        self._scores = moves.scores_with(genes)
        near = [
            np.argsort(-moves.effects(slope(scores, tilt, width)), kind="stable")[:_POOL]
            for scores in (self._scores, moves.scores)
        ]
        self._known = np.unique(np.concatenate([genes, *near]))
        self._moves = moves.among(self._known)
        self._steps = np.ascontiguousarray(self._moves.steps.T)
        self._genes = np.searchsorted(self._known, genes)

    def one_fewer(self) -> np.ndarray | None:
        """Return a set with one gene less with which a goal wins; None if none was found."""
        left = np.array([self._votes(self._scores - self._added(gene)) for gene in self._genes])
        for place in np.argsort(-left, kind="stable")[:_STARTS]:
            scores = self._scores - self._added(self._genes[place])
            found = self._exchanged(np.delete(self._genes, place), scores)
            if found is not None:
                fewer: np.ndarray = self._known[found]
                return fewer
        return None

    def _added(self, gene: int) -> np.ndarray:
        added: np.ndarray = self._steps[gene][:, None] * self._moves.weights[gene]
        return added

    def _votes(self, scores: np.ndarray) -> float:
        return float(smooth(scores, self._tilt, self._width))

    def _exchanged(self, chosen: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
        """Exchange genes one by one as long as the votes rise; return the set as soon as a goal wins."""
        value = self._votes(scores)
        for _ in range(_ROUNDS if 0 < len(chosen) < len(self._known) else 0):
            before = value
            for place, gene in enumerate(chosen):
                base = scores - self._added(gene)
                other = self._best(base, chosen)
                risen = self._votes(base + self._added(other))
                if risen > value + 1e-9:
                    chosen[place], scores, value = other, base + self._added(other), risen
                    if self._race.reached(np.argmax(scores, axis=1)):
                        return chosen
            if value == before:
                return None
        return None

    def _best(self, scores: np.ndarray, chosen: np.ndarray) -> int:
        """Return the gene, of those that are not chosen, that raises the votes most."""
        effects = self._moves.effects(slope(scores, self._tilt, self._width))
        effects[chosen] = -np.inf
        some = np.argsort(-effects, kind="stable")[: min(_TRIED, len(effects) - len(chosen))]
        steps = np.ascontiguousarray(self._steps[some])
        return int(some[best_added(scores, steps, self._moves.weights[some], self._tilt, self._width)])
