"""Exact incremental scoring for every classifier whose scores are a weighted sum of genes.

Marker scores, logistic regression, linear SVMs and CellTypist's models are all of the form
``score_k = b_k + sum_j W_kj * f_j(x_j)``: changing gene j adds ``W_kj * (f_j(new) - f_j(old))`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import pandas as pd
from numba import njit

from adverscarial.classifiers.base import Answer, Answers, Ballot, Classifier, Decision, Scorer, argmax_labels
from adverscarial.cluster import Cluster

#: turns new values of some of the model's genes, (cells or 1, k), into what the weights multiply, same shape
Transform = Callable[[np.ndarray, np.ndarray], np.ndarray]


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

    def scorer(self, cluster: Cluster, transform: Transform | None = None) -> LinearScorer:  # noqa: D102
        columns = self.align(cluster.genes)
        return LinearScorer(
            cluster.X[:, columns],
            columns,
            len(cluster.genes),
            self.weights,
            self.bias,
            self.classes,
            transform=transform,
        )


class LinearScorer(Scorer):
    """State: the scores of the cluster's cells, and the transformed values they were summed from.

    Parameters
    ----------
    X
        The cluster's values of the model's genes, shape (cells, genes).
    columns
        Where each of the model's genes stands in the data set; -1 for genes that the data set lacks.
    n_genes
        Genes in the data set.
    weights
        Shape (genes, classes).
    bias
        Shape (classes,).
    labels
        Names that the codes stand for; the first ones are the classes, in the order of `weights`.
    transform
        Called with positions in the model and new values; None when values enter as they are.
    link
        Turns sums into the scores that the classifier reports; must not change their order within a cell.
    binary
        The scores are one column, and a positive one means the second label.
    """

    def __init__(
        self,
        X: np.ndarray,
        columns: np.ndarray,
        n_genes: int,
        weights: np.ndarray,
        bias: np.ndarray,
        labels: Sequence[str],
        *,
        transform: Transform | None = None,
        link: Callable[[np.ndarray], np.ndarray] | None = None,
        binary: bool = False,
    ) -> None:
        self._weights = np.ascontiguousarray(weights, dtype=np.float64)
        self._bias = np.asarray(bias, dtype=np.float64)
        self._place = np.full(n_genes, -1, dtype=np.int64)
        self._place[columns[columns >= 0]] = np.flatnonzero(columns >= 0)
        self._matters = np.any(self._weights != 0, axis=1)
        self._transform = transform
        self._link = link
        self._binary = binary
        self._ballot = Ballot(labels)
        self._Z = self._transformed(np.arange(len(weights)), np.asarray(X, dtype=np.float64))
        self._set_scores(self._Z @ self._weights + self._bias)

    def _transformed(self, places: np.ndarray, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        return values if self._transform is None else self._transform(places, values)

    def _set_scores(self, sums: np.ndarray) -> None:
        self._sums = sums
        self._codes = self._decide(sums)
        self._counts = self._ballot.count(self._codes)
        self._baseline = self._ballot.answer(self._codes, self._report(sums))

    def _decide(self, sums: np.ndarray) -> np.ndarray:
        return (sums[:, 0] > 0).astype(np.int64) if self._binary else np.argmax(sums, axis=1)

    def _report(self, sums: np.ndarray) -> np.ndarray:
        return sums if self._link is None else self._link(sums)

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        places = self._place[genes]
        return (places >= 0) & self._matters[places]

    def _delta(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the places in the model of the genes that matter, and how far each cell's value moves."""
        known = np.flatnonzero(self.reads(genes))
        places = self._place[genes[known]]
        return places, self._transformed(places, values[:, known]) - self._Z[:, places]

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        known = np.flatnonzero(self.reads(genes))
        places, delta = self._delta(genes, values)
        counts = np.tile(self._counts, (len(genes), 1))
        counts[known] = _count_each(
            self._sums, np.ascontiguousarray(delta.T), self._weights[places], len(self._ballot.labels), self._binary
        )
        label, share = self._ballot.winners(counts)
        return Answers(label, share, np.zeros(len(genes), dtype=bool))

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        places, delta = self._delta(genes, values)
        sums = self._sums + delta @ self._weights[places]
        return self._ballot.answer(self._decide(sums), self._report(sums))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        places, delta = self._delta(genes, values)
        self._Z = self._Z.copy()
        self._Z[:, places] += delta
        # summed anew, so that huge values taken back later leave no rounding residue
        self._set_scores(self._Z @ self._weights + self._bias)

    def fork(self) -> Self:  # noqa: D102
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other


@njit(cache=True, nogil=True)
def _count_each(sums: np.ndarray, delta: np.ndarray, weights: np.ndarray, n_labels: int, binary: bool) -> np.ndarray:
    """Count the labels of all cells for each gene changed alone, shape (genes, labels)."""
    n_cells, n_classes = sums.shape
    counts = np.zeros((len(delta), n_labels), dtype=np.int64)
    for g in range(len(delta)):
        for c in range(n_cells):
            step = delta[g, c]
            best = 0
            top = sums[c, 0] + step * weights[g, 0]
            if binary:
                best = 1 if top > 0 else 0
            for k in range(1, n_classes):
                score = sums[c, k] + step * weights[g, k]
                if score > top:
                    top = score
                    best = k
            counts[g, best] += 1
    return counts
