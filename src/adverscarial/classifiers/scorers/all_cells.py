"""The scorer of classifiers whose labels depend on all cells of the data, and the test that finds such classifiers."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from adverscarial._docs import documented
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.answers import Answer, Decision, vote
from adverscarial.classifiers.scorers.repredicting import RepredictingScorer
from adverscarial.errors import ClassifierError, InputRejected

if TYPE_CHECKING:
    from adverscarial.classifiers.base import Classifier

logger = logging.getLogger(__name__)

#: classifiers whose cost has been told
_warned: WeakSet[Classifier] = WeakSet()

_OTHERS = 256  # cells outside the cluster that are shown beside it, at most


@documented
class AllCellsScorer(RepredictingScorer):
    """Asks :meth:`Classifier.decide` about all cells of the data at once, and counts the cluster's labels.

    Every query makes the whole data set dense and labels all of it: exact for any classifier, and slow. What that costs
    is logged as a warning before the first query, once for each classifier.

    Parameters
    ----------
    classifier
        Its ``decide`` gets all cells, in the order of the data.
    %(cluster)s
    """

    def __init__(self, classifier: Classifier, cluster: Cluster) -> None:
        self._classifier, self._rows = classifier, cluster.rows
        columns = classifier.align(cluster.genes)
        self._place = positions_among(columns, len(cluster.genes))
        matrix = cluster.statistics.matrix
        if classifier not in _warned:
            _warned.add(classifier)
            logger.warning(
                "%s needs all cells: each query is about all %s cells of the data, not only the %s of '%s', and takes "
                "about %.0f times as long.",
                classifier.name, f"{matrix.shape[0]:,}", f"{cluster.n_cells:,}", cluster.target,
                matrix.shape[0] / cluster.n_cells,
            )  # fmt: skip
        self._start(matrix.rows(np.arange(matrix.shape[0]))[:, columns])

    def _answer(self, X: np.ndarray) -> Answer:
        decision = self._classifier.decide(X)
        labels = np.asarray(decision.labels, dtype=str)[self._rows]
        label, share, _ = vote(labels)
        return Answer(label, share, labels, None if decision.scores is None else decision.scores[self._rows])

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        reads: np.ndarray = self._place[genes] >= 0
        return reads

    def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        X, known = self._X.copy(), self.reads(genes)
        X[np.ix_(self._rows, self._place[genes[known]])] = values[:, known]
        return X


def company_test(classifier: Classifier, cluster: Cluster, alone: Answer) -> Callable[[], int]:
    """Return the test :attr:`Scorer.company` of a classifier whose labels may depend on other cells unsaid.

    It asks about the cluster once more, with cells of other clusters beside it; only once, however often it is run.
    """
    return functools.cache(functools.partial(_refuse_if_other_cells_matter, classifier, cluster, alone))


@documented
def _refuse_if_other_cells_matter(classifier: Classifier, cluster: Cluster, alone: Answer) -> int:
    """Raise a ClassifierError where cells get other labels when cells of other clusters are asked about beside them.

    Parameters
    ----------
    classifier
        One that says that each cell's label depends on that cell alone.
    %(cluster)s
    alone
        What the classifier says of its unmodified cells, asked about alone.

    Returns
    -------
    The number of cells that it asked about.

    Raises
    ------
    ClassifierError
        It says how to go on.
    """
    matrix = cluster.statistics.matrix
    outside = np.setdiff1d(np.arange(matrix.shape[0]), cluster.rows)
    others = outside[np.unique(np.linspace(0, len(outside) - 1, min(_OTHERS, len(outside))).astype(np.int64))]
    if not len(others) or alone.labels is None:
        return 0
    columns = classifier.align(cluster.genes)
    inside = cluster.values(columns)
    n_asked = len(inside) + len(others)
    try:
        beside = classifier.decide(np.concatenate([inside, matrix.rows(others)[:, columns]]))
        n_apart = _labels_apart(alone, beside, len(inside))
        if not n_apart:
            return n_asked
        if _labels_apart(alone, classifier.decide(inside.copy()), len(inside)):
            return n_asked + len(inside)  # it does not even say the same twice: found when it is asked again at the end
    except (InputRejected, ClassifierError):
        return n_asked  # it refuses, or fails on, cells that the attack does not ask about
    raise ClassifierError(
        f"{classifier.name} gives {n_apart:,} of {len(inside):,} cells of '{cluster.target}' another label when other "
        "cells are asked about beside them: its labels depend on all cells of the data. Say so "
        "with needs_all_cells=True, in wrap() or RClassifier(), and it is always asked about all cells; or, if such "
        "differences are meant to be overlooked, with needs_all_cells=False."
    )


def _labels_apart(alone: Answer, now: Decision, n: int) -> int:
    """Return how many cells are labelled differently, leaving out ties within rounding."""
    assert alone.labels is not None
    apart = np.asarray(now.labels[:n], dtype=str) != np.asarray(alone.labels, dtype=str)
    if alone.scores is not None and alone.scores.ndim == 2 and alone.scores.shape[1] > 1:
        best = np.sort(alone.scores, axis=1)[:, -2:]
        apart &= best[:, 1] - best[:, 0] > 1e-5 * np.abs(alone.scores).max(axis=1)
    return int(apart.sum())
