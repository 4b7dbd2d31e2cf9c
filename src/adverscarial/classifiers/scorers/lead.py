"""By how much the cluster's label leads, and what share of that lead a change takes away.

The lead is the mean, over the cluster's cells, of the score of the cluster's label minus that of the runner-up: the
other label with the highest mean score. Where no gene flips anything, this still tells which one comes nearest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial.classifiers.answers import Answer


class Lead(NamedTuple):
    """Of one label over the runner-up: their columns among the scores, and the mean difference over the cells."""

    own: int
    rival: int
    gap: float

    def weights(self, n_classes: int) -> np.ndarray:
        """Return what the scores are multiplied by to give the lead, shape (classes,)."""
        found = np.zeros(n_classes)
        found[self.own], found[self.rival] = 1.0, -1.0
        return found

    def gaps(self, scores: np.ndarray) -> np.ndarray:
        """Return by how much the label leads in each cell; scores have the shape (cells, classes)."""
        gaps: np.ndarray = (scores[:, self.own] - scores[:, self.rival]).astype(np.float64)
        return gaps

    def taken(self, mean_after: np.ndarray) -> np.ndarray:
        """Return the share of the lead that changes take, from the lead after each of them: 0 nothing, 1 all of it."""
        share: np.ndarray = 1.0 - mean_after / self.gap
        return share


def lead_of(scores: np.ndarray, own: int) -> Lead | None:
    """Return the lead of a label.

    Parameters
    ----------
    scores
        Shape (cells, classes).
    own
        Column of the cluster's label.

    Returns
    -------
    None where there is no such column or no other one, or where the label leads by votes, but not by its mean score.

    Examples
    --------
    >>> lead_of(np.array([[3.0, 1.0, 0.0], [5.0, 1.0, 2.0]]), 0)
    Lead(own=0, rival=1, gap=3.0)
    """
    n_classes = scores.shape[1]
    if not 0 <= own < n_classes or n_classes < 2:
        return None
    means = scores.mean(axis=0)
    others = np.where(np.arange(n_classes) == own, -np.inf, means)
    rival = int(others.argmax())
    gap = float(means[own] - means[rival])
    return Lead(own, rival, gap) if 0 < gap < np.inf else None


def lead_of_answer(answer: Answer) -> Lead | None:
    """Return the lead that an answer shows; None where it has no scores, or its label is not the best score."""
    if answer.labels is None or answer.scores is None or answer.scores.ndim != 2:
        return None
    best = answer.scores[np.asarray(answer.labels, dtype=str) == answer.label].argmax(axis=1)
    own = int(np.bincount(best, minlength=answer.scores.shape[1]).argmax()) if len(best) else -1
    return lead_of(np.asarray(answer.scores, dtype=np.float64), own) if (best == own).all() else None
