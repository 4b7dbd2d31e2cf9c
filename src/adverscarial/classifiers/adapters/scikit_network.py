"""scikit-learn's MLPClassifier with ReLU: dense layers, scored from the first layer's sums as other networks are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.scorers.dense_layers import Layers, Upper, above
from adverscarial.classifiers.scorers.linear import Transform
from adverscarial.classifiers.scorers.networks import FirstLayerScorer

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

DenseLayers = list[tuple[np.ndarray, np.ndarray]]


def layers_of(model: BaseEstimator, n_classes: int) -> DenseLayers | None:
    """Return kernel and bias of each layer of a fitted MLPClassifier with ReLU, float64; None for other models.

    For two classes scikit-learn keeps one output, whose sign decides: here the first class has an output of 0.
    """
    if type(model).__name__ != "MLPClassifier" or model.activation != "relu" or len(model.coefs_) < 2:
        return None
    outputs = 1 if n_classes == 2 else n_classes
    if model.out_activation_ != ("logistic" if outputs == 1 else "softmax") or model.n_outputs_ != outputs:
        return None  # several labels for each cell
    layers = [
        (np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64))
        for W, b in zip(model.coefs_, model.intercepts_, strict=True)
    ]
    if outputs == 1:
        W, b = layers[-1]
        layers[-1] = np.hstack([np.zeros_like(W), W]), np.append(0.0, b)
    return layers


class PerceptronScorer(FirstLayerScorer):
    """Scorer of an MLPClassifier: the same sums as the library's own, in float64.

    Parameters
    ----------
    cluster, columns, classes, transform
        As for :class:`FirstLayerScorer`.
    layers
        What :func:`layers_of` returns; the first one for the classifier's genes.
    """

    def __init__(
        self, cluster: Cluster, columns: np.ndarray, layers: Layers, classes: Sequence[str],
        transform: Transform | None,
    ) -> None:  # fmt: skip
        self._upper = layers[1:]
        super().__init__(cluster, columns, *layers[0], classes, transform=transform)

    def _scores(self, sums: np.ndarray) -> np.ndarray:
        return probabilities(above(self._upper, sums))

    def _upper_layers(self) -> Upper:
        # probabilities that round to the same number hide a small difference of logits
        return Upper(self._upper, 2e-9, 1e-6)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return what scikit-learn makes of the last layer's sums: of two classes a logistic function, else a softmax."""
    if logits.shape[1] == 2:
        second = expit(logits[:, 1:])
        return np.hstack([1 - second, second])
    found: np.ndarray = softmax(logits, axis=1)
    return found
