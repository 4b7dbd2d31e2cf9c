"""The general scorer: classify the cluster's changed rows again, many queries in one batch.

It serves every classifier that labels cells one by one and has no cheaper exact form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adverscarial._docs import documented
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.answers import Answer, Answers, vote
from adverscarial.classifiers.scorers.lead import lead_of_answer
from adverscarial.classifiers.scorers.repredicting import RepredictingScorer
from adverscarial.errors import InputRejected

if TYPE_CHECKING:
    from adverscarial.classifiers.base import Classifier

_BATCH_BYTES = 64 * 2**20


@documented
class GeneralScorer(RepredictingScorer):
    """Re-predicts the cluster's rows, in batches of several queries.

    Parameters
    ----------
    classifier
        Anything with :meth:`Classifier.decide`.
    %(cluster)s
    """

    def __init__(self, classifier: Classifier, cluster: Cluster) -> None:
        self.classifier = classifier
        columns = classifier.align(cluster.genes)
        self._place = positions_among(columns, len(cluster.genes))
        self._start(cluster.values(columns))

    def _answer(self, X: np.ndarray) -> Answer:
        decision = self.classifier.decide(X)
        label, share, _ = vote(decision.labels)
        return Answer(label, share, np.asarray(decision.labels, dtype=str), decision.scores)

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        reads: np.ndarray = self._place[genes] >= 0
        return reads

    def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        X = self._X.copy()
        known = self.reads(genes)
        X[:, self._place[genes[known]]] = values[:, known]
        return X

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        n = len(self._X)
        labels = np.full(len(genes), self._baseline.label, dtype=object)
        shares = np.full(len(genes), self._baseline.share)
        rejected = np.zeros(len(genes), dtype=bool)
        lead = lead_of_answer(self._baseline)
        taken = np.zeros(len(genes))
        todo = np.flatnonzero(self.reads(genes))
        size = max(1, _BATCH_BYTES // max(1, self._X.nbytes))
        for start in range(0, len(todo), size):
            batch = todo[start : start + size]
            stacked = np.concatenate([self._changed(genes[[k]], values[:, [k]]) for k in batch])
            try:
                cells, scores = self.classifier.decide(stacked)
            except InputRejected:  # one of them was refused: ask one by one, to know which
                for k in batch:
                    answer = self.together(genes[[k]], values[:, [k]])
                    labels[k], shares[k], rejected[k] = answer.label, answer.share, answer.rejected
                    taken[k] = np.nan
                    if lead is not None and answer.scores is not None:
                        taken[k] = lead.taken(lead.gaps(answer.scores).mean())
                continue
            for i, k in enumerate(batch):
                labels[k], shares[k], _ = vote(cells[i * n : (i + 1) * n])
            if lead is not None and scores is not None:
                taken[batch] = lead.taken(lead.gaps(scores).reshape(len(batch), n).mean(axis=1))
        return Answers(labels.astype(str), shares, rejected, None if lead is None else taken)
