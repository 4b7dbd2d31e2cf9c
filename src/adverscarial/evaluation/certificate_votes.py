"""From what genes can do to single cells to what they can do to the vote of a cluster, to check certificates by."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from adverscarial.classifiers.answers import is_named
from adverscarial.evaluation.certificate_file import Claim, labels_claimed


class Bounds(ABC):
    """Scores of cells, and what genes can do to them: of trees, or of a network.

    A subclass is made from its plain classifier and the values ``old`` and ``new`` of cells: as they are, and with
    every gene changed, shape (cells, genes of the classifier).

    Attributes
    ----------
    scores
        Of each cell as it is, shape (cells, labels).
    hidden
        Scores of each cell that are no farther apart may change places.
    exact
        Whether scores are whole numbers of votes, which no rounding can touch.
    """

    scores: np.ndarray
    hidden: np.ndarray
    exact: bool

    @abstractmethod
    def reaches(self, c: np.ndarray, cell: int, m: int, *, strict: bool) -> bool:
        """Return whether some `m` genes might bring ``c . scores`` of a cell up to 0 (above it, if `strict`)."""

    @abstractmethod
    def scores_of(self, values: np.ndarray) -> np.ndarray:
        """Return scores of cells with other values."""

    @abstractmethod
    def alone(self, cell: int) -> np.ndarray:
        """Return the scores of a cell after each gene's change alone, shape (genes, labels)."""


def goals_of(claim: Claim, labels: list[str]) -> list[int]:
    """Return the labels that count as another one, by the rules of the attack."""
    wanted = labels_claimed(claim["towards"])
    return [
        k
        for k, label in enumerate(labels)
        if label != claim["label"]
        and (claim["change_type"] == "any" or is_named(label))
        and (not wanted or label in wanted)
    ]


def without_goals(claim: Claim, labels: list[str] | None) -> tuple[str, bool]:
    """Return what is said where no label in a certificate counts as another one, and whether that proves the claim.

    It does only where the classifier, whose `labels` are those that it can give, has no other label that counts.
    """
    if labels is not None and claim["label"] in labels and not claim["towards"] and not goals_of(claim, labels):
        return "the classifier gives no other label that counts", True
    return "some label counts as another one: without any, nothing is proven", False


def winner_of(codes: np.ndarray, labels: list[str]) -> int:
    """Return the label of a cluster: the most frequent one, the alphabetically first on a tie."""
    counts, rank = np.bincount(codes, minlength=len(labels)), _ranks(labels)
    return min(range(len(labels)), key=lambda k: (-counts[k], rank[k]))


def _ranks(labels: list[str]) -> np.ndarray:
    return np.argsort(np.argsort(np.array(labels), kind="stable"), kind="stable")


class Votes:
    """The votes of a cluster, and which of them `m` genes may change.

    Parameters
    ----------
    bounds
        The cells.
    codes
        The label that the classifier gives each cell, a position in `labels`.
    labels
        All labels that it can give.
    m
        The most genes that are changed.
    """

    def __init__(self, bounds: Bounds, codes: np.ndarray, labels: list[str], m: int) -> None:
        self._bounds, self._codes, self._m, self._n = bounds, codes, m, len(labels)
        self._counts = np.bincount(codes, minlength=self._n)
        self._rank = _ranks(labels)
        #: whether a label may beat the cell's own one with genes of that cell's choice, shape (cells, labels)
        self._beats = np.zeros((len(codes), self._n), dtype=bool)
        if m > 0:
            for cell, own in enumerate(codes.tolist()):
                for rival in range(self._n):
                    if rival != own:
                        self._beats[cell, rival] = self._may(rival, own, cell)

    def _may(self, winner: int, loser: int, cell: int) -> bool:
        c = np.zeros(self._n)
        c[winner], c[loser] = 1.0, -1.0
        return self._bounds.reaches(c, cell, self._m, strict=winner > loser)

    def argument(self, goal: int) -> str | None:
        """Return why a label cannot win with `m` genes; None where nothing here proves it."""
        if self._m == 0:
            return "no gene is changed"
        joins = self._beats[:, goal].copy()
        for other in range(-1, self._n):  # first by the cells' own labels alone; then it must beat each other one, too
            if other in (-1, goal):
                continue
            found = self._by_count(goal, joins)
            if found is not None:
                return found
            for cell in np.flatnonzero(joins & (self._codes != other)).tolist():
                joins[cell] = self._may(goal, other, cell)
        return self._by_count(goal, joins)

    def _by_count(self, goal: int, joins: np.ndarray) -> str | None:
        if joins.sum() < -(-len(joins) // self._n) - self._counts[goal]:
            return "share of the vote"  # of n votes for k labels, the winner has n / k at least
        for loser in range(self._n):
            need = self._counts[loser] - self._counts[goal] + (self._rank[goal] > self._rank[loser])
            leaves = self._beats[self._codes == loser].any(axis=1)
            if loser != goal and joins.sum() + leaves.sum() < need:
                return "own sets"
        return None

    def genes_that_may(self, goals: list[int]) -> np.ndarray:
        """Return the genes that, changed alone, may let a goal win: for the others this is out of the question."""
        may = sure = np.zeros((1, self._n), dtype=np.int64)
        for cell in range(len(self._codes)):
            scores, hidden = self._bounds.alone(cell), 0.0 if self._bounds.exact else self._bounds.hidden[cell]
            near = scores >= scores.max(axis=1, keepdims=True) - hidden
            if self._bounds.exact:  # then the first of equal ones is the label
                near = np.eye(self._n, dtype=bool)[np.argmax(scores, axis=1)]
            may, sure = may + near, sure + (near & (near.sum(axis=1) == 1)[:, None])
        behind = self._rank[:, None] > self._rank[None, :]
        wins = np.zeros(len(may), dtype=bool)
        for goal in goals:
            others = [k for k in range(self._n) if k != goal]
            wins |= (may[:, [goal]] >= sure[:, others] + behind[goal, others]).all(axis=1)
        return np.flatnonzero(wins)
