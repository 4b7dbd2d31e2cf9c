"""What changed genes do to weighted sums: exactly the sum of what each does alone."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from adverscarial.classifiers.scorers import linear_votes
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.prefixes import fewest_of_products

#: a sum of n terms in float64 is wrong by at most n times 1.2e-16 of its size; this allows for 80,000 genes
_ROUNDING = 1e-11


class LinearMoves(Moves):
    """Moves of scores ``bias + Z @ weights``: gene j adds ``steps[cell, j] * weights[j, class]``, and nothing else.

    So the bound holds for sets of any number of genes, and for one cell and two classes it is reached.

    Parameters
    ----------
    scores
        As they stand, shape (cells, classes).
    steps
        New value minus old value of what the weights multiply, shape (cells, genes).
    weights
        Shape (genes, classes).
    size
        See :class:`Moves`.
    codes
        Labels as the classifier gives them; left out, the largest of `scores`.
    """

    exact: ClassVar[bool] = True

    def __init__(
        self,
        scores: np.ndarray,
        steps: np.ndarray,
        weights: np.ndarray,
        size: np.ndarray,
        codes: np.ndarray | None = None,
    ) -> None:
        if scores.shape[1] == 1:  # one sum: above 0 it means the second label
            scores, weights = _beside_zero(scores), _beside_zero(weights)
        self.scores, self.weights, self.size = scores, weights, size
        self.steps = np.ascontiguousarray(steps, dtype=np.float64)
        self.codes = np.argmax(scores, axis=1) if codes is None else codes
        self.n_genes = steps.shape[1]
        self.tolerance = 0.0 if all(map(_whole, (weights, scores, self.steps))) else _ROUNDING

    def bound(self, c: np.ndarray, cells: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Moves.bound`. The gains of a set are the sum of its genes' gains; negative ones are left out."""
        return self.scores[cells] @ c, np.maximum(self.steps[cells] * (self.weights @ c), 0.0)

    def fewest(self, c: np.ndarray, cells: np.ndarray, *, strict: bool, sure: bool = False) -> np.ndarray:
        """See :meth:`Moves.fewest`; `sure`: as many as are enough whatever rounding does."""
        tolerance = self.tolerance if _whole(c) else _ROUNDING
        need = self._need(self.scores[cells] @ c, cells, tolerance, sure)
        strict = strict and (sure or tolerance == 0)
        return fewest_of_products(self.steps, cells, np.ascontiguousarray(self.weights @ c), need, strict)

    def scores_with(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        scores: np.ndarray = self.scores + self.steps[:, genes] @ self.weights[genes]
        return scores

    def effects(self, omega: np.ndarray) -> np.ndarray:  # noqa: D102
        cells, classes = np.flatnonzero(omega.any(axis=1)), np.flatnonzero(omega.any(axis=0))
        steps = self.steps if len(cells) == len(omega) else self.steps[cells]
        effects: np.ndarray = ((steps.T @ omega[np.ix_(cells, classes)]) * self.weights[:, classes]).sum(axis=1)
        return effects

    def changed(self, genes: np.ndarray) -> LinearMoves:  # noqa: D102
        steps = self.steps.copy()
        steps[:, genes] = 0.0
        added = (np.abs(self.steps[:, genes]) @ np.abs(self.weights[genes])).max(axis=1)
        return LinearMoves(self.scores_with(genes), steps, self.weights, self.size + added)

    def first_reaching(self, order: np.ndarray, rank: np.ndarray, goals: np.ndarray) -> int:  # noqa: D102
        return linear_votes.first_reaching(self.scores, *self._of(order), rank, goals)

    def thinned(self, genes: np.ndarray, rank: np.ndarray, goals: np.ndarray) -> np.ndarray:  # noqa: D102
        needed: np.ndarray = genes[linear_votes.thinned(self.scores_with(genes), *self._of(genes), rank, goals)]
        return needed

    def _of(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.ascontiguousarray(self.steps[:, genes].T), self.weights[genes]

    def among(self, genes: np.ndarray) -> LinearMoves:
        """Return what these genes alone can do; they are numbered as they come."""
        return LinearMoves(self.scores, np.take(self.steps, genes, axis=1), self.weights[genes], self.size, self.codes)

    def part(self, cells: np.ndarray) -> LinearMoves:  # noqa: D102
        return LinearMoves(self.scores[cells], self.steps[cells], self.weights, self.size[cells], self.codes[cells])


def _beside_zero(column: np.ndarray) -> np.ndarray:
    return np.hstack([np.zeros_like(column), column])


def _whole(numbers: np.ndarray) -> bool:
    """Return whether all numbers are whole, and so small that sums of them do not round."""
    return bool(np.abs(numbers).max(initial=0) < 2**20 and np.array_equal(numbers, np.rint(numbers)))
