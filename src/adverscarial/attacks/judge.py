"""Classifies a changed cluster from scratch: it shares no code with the scorers whose answers it checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adverscarial.cells.choice import Cells, attacked
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import cells_of
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import InputRejected
from adverscarial.modifications.base import with_values

if TYPE_CHECKING:
    from adverscarial.attacks.result import Result


class Judge:
    """Classifies a changed cluster from scratch: the cells are copied, changed, and given to the classifier whole."""

    def __init__(self, data: Cells, classifier: object, result: Result) -> None:
        adata = attacked(data, result.source)
        self._classifier: Classifier = wrap(classifier)
        self._result = result
        self.cluster = Cluster(adata, result.groupby, result.target, layer=result.layer, seed=result.seed)
        self._adata, self._rows, self._labels = adata, self.cluster.rows, self.cluster.labels
        if not self._classifier.needs_all_cells:  # the other cells cannot matter, so they need not be copied
            self._adata = cells_of(adata, self._rows)
            self._rows, self._labels = np.arange(len(self._rows)), self._labels[self._rows]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the columns of an answer's scores stand for."""
        return self._classifier.bind(self.cluster.genes).classes

    def before(self) -> Answer:
        """Return the answer for the cells as they are."""
        target, layer = self.cluster.target, self._result.layer
        return self._classifier.predict_cluster(self._adata, self._rows, target, self._labels, layer)

    def ask(self, genes: np.ndarray) -> Answer:
        """Return the answer with `genes` (positions) changed as the attack changes them; a refusal is an answer too."""
        values = self._result.changed_values(self.cluster, genes)
        changed = with_values(self._adata, self._rows, genes, values, layer=self._result.layer)
        try:
            return self._classifier.predict_cluster(
                changed, self._rows, self.cluster.target, self._labels, self._result.layer
            )
        except InputRejected as refusal:
            return Answer(self._result.baseline, 0.0, rejected=True, reason=str(refusal))
