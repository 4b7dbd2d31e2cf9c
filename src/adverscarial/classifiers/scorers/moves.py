"""What the new values of some genes can do to the scores of each cell: the one thing that proofs need of a family.

A query fixes, for each gene, one new value in each cell. A set S of genes is changed at once. For weights c over
the classes, a family proves how far ``c . scores`` can rise: see :meth:`Moves.bound`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from adverscarial._docs import documented
from adverscarial.classifiers.scorers.linear_votes import winner
from adverscarial.classifiers.scorers.prefixes import fewest_of_rows


class Moves(ABC):
    """Scores of some cells as they stand, and bounds on what changing genes does to them.

    The label of a cell is the class with the largest score, the first one on a tie.

    Attributes
    ----------
    scores
        As they stand, float64, shape (cells, classes).
    codes
        Label of each cell, a position among the classes.
    labels
        Names of the classes; set by the scorer.
    n_genes
        Genes that can be changed; they are counted from 0 here.
    tolerance
        Each score is wrong by at most this share of :attr:`size` because of rounding. 0 where all numbers are whole.
    size
        How much was added up for the scores of each cell, whatever cancelled, shape (cells,).
    margin
        Two scores that differ by no more than this may count as equal for the classifier itself.
    """

    #: whether the gain of a set of genes is exactly the sum of what each of its genes does
    exact: ClassVar[bool] = False
    #: whether bounds cost no more than looking for a set
    cheap: ClassVar[bool] = True

    scores: np.ndarray
    codes: np.ndarray
    labels: np.ndarray = np.empty(0, dtype=str)
    n_genes: int
    tolerance: float
    size: np.ndarray
    margin: float = 0.0

    @abstractmethod
    def bound(self, c: np.ndarray, cells: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a proven bound on how far changed genes can raise the weighted sum ``c . scores``.

        Parameters
        ----------
        c
            Weights over the classes whose sum is 0, for example +1 for one class and -1 for another.
        cells
            Positions of the cells.
        m
            The bound must hold for all sets of at most this many genes.

        Returns
        -------
        t
            Shape (len(cells),).
        G
            Not negative, shape (len(cells), genes). With all genes of a set S changed, at most `m` of them, the sum
            is at most ``t + (sum of G over S)``.
        """

    @abstractmethod
    def scores_with(self, genes: np.ndarray) -> np.ndarray:
        """Return the scores with all `genes` changed, shape (cells, classes)."""

    def scores_with_each(self, genes: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the scores of a single cell with all `genes` changed and one of `others`, shape (others, classes)."""
        return np.vstack([self.scores_with(np.append(genes, other)) for other in others])

    def scores_without_each(self, genes: np.ndarray) -> np.ndarray:
        """Return the scores of a single cell with all `genes` changed but one, shape (genes, classes)."""
        return np.vstack([self.scores_with(np.delete(genes, place)) for place in range(len(genes))])

    def effects_with(self, genes: np.ndarray, omega: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Return what some genes do to ``(omega * scores).sum()`` once all `genes` are changed; see :meth:`effects`."""
        return self.changed(genes).effects_of(omega, some)

    @abstractmethod
    def effects(self, omega: np.ndarray) -> np.ndarray:
        """Return what each gene alone does to ``(omega * scores).sum()``, to first order, shape (genes,).

        `omega` has the shape of :attr:`scores`. This only guides the search for good sets; nothing is proven by it.
        """

    def effects_of(self, omega: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """Return :meth:`effects` of some genes, shape (len(genes),)."""
        effects: np.ndarray = self.effects(omega)[genes]
        return effects

    @abstractmethod
    def changed(self, genes: np.ndarray) -> Moves:
        """Return the moves that are left once `genes` are changed; those genes then do nothing."""

    def part(self, cells: np.ndarray) -> Moves:
        """Return the same for some of the cells."""
        raise NotImplementedError

    @documented
    def first_reaching(self, order: np.ndarray, rank: np.ndarray, goals: np.ndarray) -> int:
        """Return how many genes, changed in this order, let a goal win the vote; -1 if no number was found that does.

        Parameters
        ----------
        order
            Genes.
        %(rank)s
        goals
            Which labels may win, bool, shape (labels,).
        """
        high = 1
        while not goals[winner(self.scores_with(order[:high]), rank)]:
            if high >= len(order):
                return -1
            high = min(2 * high, len(order))
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if goals[winner(self.scores_with(order[:middle]), rank)] else (middle, high)
        return high

    def thinned(self, genes: np.ndarray, rank: np.ndarray, goals: np.ndarray) -> np.ndarray:
        """Return `genes` without those that can be spared while a goal wins, tried in their order."""
        kept = np.ones(len(genes), dtype=bool)
        for j in range(len(genes)):
            kept[j] = False
            kept[j] = not goals[winner(self.scores_with(genes[kept]), rank)]
        return genes[kept]

    def sizes(self) -> Sequence[int] | None:
        """Return the numbers of genes for which bounds are worth asking for; None where a bound holds for all."""
        return None

    def _need(self, total: np.ndarray, cells: np.ndarray, tolerance: float, sure: bool) -> np.ndarray:
        """Return what is missing to a sum of 0, made smaller by all that rounding may hide (or larger, if `sure`)."""
        hidden = tolerance * self.size[cells] + self.margin
        missing: np.ndarray = -total + hidden if sure else -total - hidden
        return missing

    def fewest(self, c: np.ndarray, cells: np.ndarray, *, strict: bool) -> np.ndarray:
        """Return for each cell a number of genes that is proven to be needed to bring ``c . scores`` up to 0.

        For one cell no set of n genes gains more than the n largest gains together. So the number of largest gains
        that are needed to fill the gap is a lower bound for every set.

        Parameters
        ----------
        c, cells
            As for :meth:`bound`.
        strict
            The sum must exceed 0; a tie is not enough.
        """
        limits = self.sizes()
        proven = np.zeros(len(cells), dtype=np.int64)
        for m in [self.n_genes] if limits is None else limits:
            t, G = self.bound(c, cells, m)
            needed = fewest_of_rows(
                G, self._need(t, cells, self.tolerance, sure=False), strict and self.tolerance + self.margin == 0
            )
            # the bound speaks of sets of at most m genes only
            proven = np.maximum(proven, needed if limits is None or m >= self.n_genes else np.minimum(needed, m + 1))
        return proven


def pair(winner: int, loser: int, n_classes: int) -> np.ndarray:
    """Return the weights of the difference of two scores: +1 for the winner, -1 for the loser."""
    c = np.zeros(n_classes)
    c[winner], c[loser] = 1.0, -1.0
    return c
