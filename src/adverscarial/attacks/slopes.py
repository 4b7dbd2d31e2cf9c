"""In which direction does each cell's label become less certain? The slopes that gradient attacks follow.

The loss of a cell is the cross-entropy of one class, ``-log p(class)``. Its slope comes from the classifier itself
where it has a gradient (networks, linear models), else from central differences of its scores, gene by gene.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy.special import softmax

from adverscarial._docs import documented
from adverscarial.attacks.run import Run
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.wrapped import WrappedScorer
from adverscarial.errors import ClassifierError, InputRejected

_TINY = np.finfo(np.float64).tiny


@runtime_checkable
class GradientModel(Protocol):
    """A bound classifier with a gradient of its own."""

    classes: tuple[str, ...]

    def align(self, genes: pd.Index) -> np.ndarray:
        """Return the positions in the data of each of its genes."""

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the values before the softmax, shape (cells, classes)."""

    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the gradient of ``sum_k weights[c, k] * logit_k(c)``, shape of `X`."""


class Slopes(ABC):
    """Slopes of the loss with respect to each value of some genes.

    Attributes
    ----------
    genes
        Positions in the data set.
    classes
        Names of the classes, in the order of the codes.
    scores
        Of the unmodified cells, shape (cells, classes): larger means more likely.
    queries
        What asking for all slopes once costs.
    """

    genes: np.ndarray
    classes: tuple[str, ...]
    scores: np.ndarray
    queries: int

    @abstractmethod
    def __call__(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the slope of each cell's loss, up to one positive factor per cell.

        Parameters
        ----------
        values
            The genes' values, float64, shape (cells, len(genes)).
        codes
            The class of each cell's loss.
        """

    def codes(self, labels: Sequence[str]) -> np.ndarray:
        """Return the classes that labels stand for; for a label without a score ("unassigned") the best class."""
        code = {name: k for k, name in enumerate(self.classes)}
        best = np.argmax(self.scores, axis=1)
        return np.array([code.get(label, k) for label, k in zip(labels, best, strict=True)], dtype=np.int64)


@documented
class ModelSlopes(Slopes):
    """Slopes from the classifier's own gradient: one query for all genes.

    Parameters
    ----------
    model
        A bound classifier with a gradient.
    %(cluster)s
    genes
        Positions to attack; those that the classifier does not know are left out.
    """

    queries = 1

    def __init__(self, model: GradientModel, cluster: Cluster, genes: np.ndarray) -> None:
        columns = model.align(cluster.genes)
        place = positions_among(columns, len(cluster.genes))
        self.genes = genes[place[genes] >= 0]
        self._columns = place[self.genes]
        self._model, self._X = model, cluster.values(columns).astype(np.float64)
        self.classes, self.scores = model.classes, model.logits(self._X)

    def __call__(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:  # noqa: D102
        self._X[:, self._columns] = values
        weights = loss_slopes(self._model.logits(self._X), codes)
        found: np.ndarray = self._model.gradient(self._X, weights)[:, self._columns].astype(np.float64)
        return found


@runtime_checkable
class GradientScorer(Protocol):
    """A scorer that knows the slopes of its cells as they stand, where the classifier itself looks at all cells."""

    def logits(self) -> np.ndarray:
        """Return the values before the softmax, shape (cells, classes)."""

    def slopes(self, genes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the slope of ``sum_k weights[c, k] * logit_k(c)`` by each value, shape (cells, genes)."""


class ScorerSlopes(Slopes):
    """Slopes that the scorer knows of the cells as they stand: one query for all genes.

    Parameters
    ----------
    run
        Its scorer is a :class:`GradientScorer`, perhaps inside others.
    classes
        Of the logits.
    genes
        Positions to attack.
    """

    queries = 1

    def __init__(self, run: Run, classes: tuple[str, ...], genes: np.ndarray) -> None:
        self._run, self.genes, self.classes = run, genes, classes
        self.scores = _innermost(run.scorer).logits()

    def __call__(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:  # noqa: D102
        state = self._run.scorer.fork()
        state.accept(self.genes, values.astype(self._run.cluster.dtype))
        scorer = _innermost(state)
        return scorer.slopes(self.genes, loss_slopes(scorer.logits(), codes))


def _innermost(scorer: Scorer) -> GradientScorer:
    while isinstance(scorer, WrappedScorer):
        scorer = scorer.scorer
    assert isinstance(scorer, GradientScorer)
    return scorer


def _has_slopes(scorer: Scorer) -> bool:
    while isinstance(scorer, WrappedScorer):
        scorer = scorer.scorer
    return isinstance(scorer, GradientScorer)


class FiniteSlopes(Slopes):
    """Slopes by central differences of the scores: two queries per gene.

    Parameters
    ----------
    run
        Its scorer must give scores.
    model
        The bound classifier.
    genes
        Positions to attack.
    step
        Distance to look to either side.
    low, high
        Bounds that the values looked at keep, too.
    """

    def __init__(self, run: Run, model: Classifier, genes: np.ndarray, step: float, low: float, high: float) -> None:
        self._run, self._name, self._step, self._low, self._high = run, model.name, step, low, high
        # a scorer that predicts from scratch is asked once more, for where the cells stand
        self.genes, self.queries = genes, 2 * len(genes) + (not run.scorer.incremental)
        assert run.baseline.scores is not None
        self.classes, self.scores = model.classes, run.baseline.scores

    def __call__(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:  # noqa: D102
        state = self._run.scorer.fork()
        dtype = self._run.cluster.dtype
        try:
            state.accept(self.genes, values.astype(dtype))
        except InputRejected as refusal:
            raise ClassifierError(self._refusal(str(refusal))) from refusal
        slopes = np.zeros(values.shape)
        for k, gene in enumerate(self.genes):
            # rounded as the data are, so that the distance is the one that the classifier sees
            sides = values[:, [k]] + np.array([-self._step, self._step])
            below, above = np.hsplit(np.clip(sides, self._low, self._high).astype(dtype), 2)
            rise = self._losses(state, gene, above, codes) - self._losses(state, gene, below, codes)
            distance = (above.astype(np.float64) - below)[:, 0]
            slopes[:, k] = np.divide(rise, distance, out=np.zeros(len(rise)), where=distance > 0)
        return slopes

    def _losses(self, state: Scorer, gene: int, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        answer = state.together(np.array([gene]), values)
        if answer.rejected or answer.scores is None:
            raise ClassifierError(self._refusal(answer.reason))
        return losses(answer.scores, codes)

    def _refusal(self, reason: str) -> str:
        return (
            f"{self._name} refuses values that lie {self._step:g} beside the cells' own: {reason}. Keep what is "
            "asked about in its range with nonnegative=True, minimum= or maximum=, or lower finite_step and epsilon."
        )


def slopes_for(run: Run, genes: np.ndarray, *, named: bool, step: float, low: float, high: float) -> Slopes:
    """Return the slopes that a classifier allows; those of its own gradient where it has one.

    Parameters
    ----------
    run
        The run.
    genes
        Positions to attack.
    named
        Whether the user chose them: differences of all genes of a data set would take thousands of queries per step.
    step, low, high
        See :class:`FiniteSlopes`.

    Raises
    ------
    ClassifierError
        If the classifier gives no scores, or has no gradient and `named` is False.
    """
    classifier = run.model
    model = classifier.bind(run.cluster.genes)
    # a classifier of all cells that is bound to one of single cells computes z-scores in front of it: the gradient
    # behind them is not that of the data
    of_the_data = model.needs_all_cells == classifier.needs_all_cells
    if of_the_data and isinstance(model, GradientModel) and getattr(model, "differentiable", True):
        return ModelSlopes(model, run.cluster, genes)
    if _has_slopes(run.scorer):
        return ScorerSlopes(run, model.classes, genes)
    answer = run.baseline
    if answer.scores is None or answer.labels is None:
        raise ClassifierError(
            f"{classifier.name} gives labels only, no scores for single cells, so there is no slope to follow. "
            "SingleGene, MinChange and others need labels only: see `adverscarial list`."
        )
    if answer.scores.shape[1] != len(model.classes):
        raise ClassifierError(
            f"{classifier.name} gives {answer.scores.shape[1]} scores per cell for {len(model.classes)} classes; "
            "expected one score per class. SingleGene, MinChange and others need labels only."
        )
    if not named:
        raise ClassifierError(
            f"{classifier.name} has scores but no gradient. Name the genes to attack with genes=: their slopes are "
            "then measured by finite differences, two queries per gene and step. Over all genes use SingleGene, "
            "MaxChange or ClusterGradientDescent."
        )
    return FiniteSlopes(run, model, genes, step, low, high)


def loss_slopes(logits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the slope of ``-log p(code)`` with respect to each logit, divided by ``1 - p(code)``.

    The slope itself is ``p_k`` for the other classes and ``p - 1`` for the class itself, which vanishes for a cell that
    the classifier is sure of. Divided, it keeps its direction, which is all that an attack follows, and its digits.

    >>> loss_slopes(np.array([[50.0, 0.0, 0.0]]), np.array([0]))
    array([[-1. ,  0.5,  0.5]])
    """
    cells = np.arange(len(logits))
    rivals = logits.astype(np.float64)
    rivals[cells, codes] = -np.inf
    slopes = softmax(rivals, axis=1)
    slopes[cells, codes] = -1.0
    found: np.ndarray = slopes
    return found


def losses(scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return ``-log p(code)`` of each cell; scores that are no probabilities go through a softmax first.

    >>> losses(np.array([[0.25, 0.75]]), np.array([1])).round(4)
    array([0.2877])
    """
    scores = scores.astype(np.float64)
    if scores.min(initial=0) < 0 or np.abs(scores.sum(axis=1) - 1).max(initial=0) > 1e-4:
        scores = softmax(scores, axis=1)
    found: np.ndarray = -np.log(np.maximum(scores[np.arange(len(scores)), codes], _TINY))
    return found
