"""A classifier that is nothing but weights and biases; other families and adapters build on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from adverscarial._docs import documented
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.remembered import Remembered
from adverscarial.classifiers.answers import Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.linear import LinearScorer, Transform, gradient_of, logits_of


class LinearModel(Classifier):
    """Weights and biases: the best weighted sum wins, the first on a tie.

    Parameters
    ----------
    name
        Shown in tables.
    genes
        Names, length g.
    classes
        Names, length k.
    weights, bias
        Shapes (g, k) and (k,).
    """

    def __init__(
        self, name: str, genes: pd.Index, classes: Sequence[str], weights: np.ndarray, bias: np.ndarray | None = None
    ) -> None:
        self._name, self.genes, self.classes = name, genes, tuple(classes)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.bias = np.zeros(len(self.classes)) if bias is None else np.asarray(bias, dtype=np.float64)

    @property
    def name(self) -> str:  # noqa: D102
        return self._name

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
        scores = X.astype(np.float64) @ self.weights + self.bias
        return Decision(argmax_labels(self.classes, scores), scores)

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the weighted sums, float64, shape (cells, classes)."""
        return logits_of(X.astype(np.float64) @ self.weights + self.bias)

    @documented
    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the exact gradient of ``sum_k weights[c, k] * logit_k(c)``, float64, shape of `X`.

        Parameters
        ----------
        %(gradient)s
        """
        return gradient_of(weights, self.weights)

    def scorer(self, cluster: Cluster, transform: Transform | None = None) -> LinearScorer:  # noqa: D102
        columns = self.align(cluster.genes)
        return LinearScorer(
            cluster.held(columns),
            columns,
            len(cluster.genes),
            self.weights,
            self.bias,
            self.classes,
            transform=transform,
            ranges=(lambda: cluster.ranges(columns)) if transform is None else None,
        )


_BOUND: Remembered[Remembered[tuple[object, LinearModel]]] = Remembered()


def bound_once(
    classifier: Classifier, genes: pd.Index, settings: object, bind: Callable[[], LinearModel]
) -> LinearModel:
    """Return a classifier as it works on data with these genes, worked out again only where its settings are others."""
    known = _BOUND.of(classifier, Remembered)
    found = known.find(genes)
    if found is None or found[0] != settings:
        found = settings, bind()
        known.keep(genes, found)
    return found[1]
