"""The scorer of a classifier in R: R holds the cells, and a query sends what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from adverscarial._docs import documented
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.adapters.r.slot import Slot
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.errors import InputRejected

if TYPE_CHECKING:
    from adverscarial.classifiers.adapters.r.classifier import RClassifier

_NO_GENES = np.empty(0, dtype=np.int64), np.empty((1, 0))


@documented
class RScorer(Scorer):
    """Asks R about the cluster, or about all cells, one query at a time.

    Several queries in one call would not be faster, and other rows in front change what R draws at random.

    Parameters
    ----------
    classifier
        Bound to the genes of the data.
    %(cluster)s

    Attributes
    ----------
    slot
        The cells as they stand now.
    """

    incremental = False

    def __init__(self, classifier: RClassifier, cluster: Cluster) -> None:
        self._classifier = classifier
        columns = classifier.align(cluster.genes)
        self._place = np.full(len(cluster.genes), -1, dtype=np.int64)
        self._place[columns] = np.arange(len(columns))
        self.slot = classifier.slot(cluster, columns)
        self._shared = False  # whether a fork may need the slot as it is
        self._baseline = self._ask(self.slot, *_NO_GENES)

    def _ask(self, slot: Slot, genes: np.ndarray, values: np.ndarray) -> Answer:
        return self._classifier.ask(slot, genes, values)

    def _read(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the genes that the function gets, as positions in what it gets."""
        columns: np.ndarray = self._place[genes]
        return columns[columns >= 0], values[:, columns >= 0]

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        read: np.ndarray = self._place[genes] >= 0
        return read

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        try:
            return self._ask(self.slot, *self._read(genes, values))
        except InputRejected as refusal:
            return Answer(self._baseline.label, 0.0, rejected=True, reason=str(refusal))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        self.accept_known(genes, values, self._ask(self.slot, *self._read(genes, values)))

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        genes, values = self._read(genes, values)
        changed = self.slot.changed(genes, values)
        self._classifier.worker().accept(self.slot, changed, genes, values, move=not self._shared)
        self.slot, self._shared, self._baseline = changed, False, answer

    def fork(self) -> Self:  # noqa: D102
        self._shared = True
        return super().fork()
