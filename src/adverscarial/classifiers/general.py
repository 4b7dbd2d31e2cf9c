"""The general scorer: classify the cluster's changed rows again, many questions in one batch.

It serves every classifier that labels cells one by one and has no cheaper exact form.
"""

from __future__ import annotations

import numpy as np

from adverscarial.classifiers.base import Answer, Answers, Classifier, Decision, Scorer, vote
from adverscarial.cluster import Cluster
from adverscarial.errors import InputRejected

_BATCH_BYTES = 64 * 2**20


class GeneralScorer(Scorer):
    """Re-predicts the cluster's rows, in batches of several questions.

    Parameters
    ----------
    classifier
        Anything with :meth:`Classifier.decide`.
    cluster
        The cluster under attack.
    """

    incremental = False

    def __init__(self, classifier: Classifier, cluster: Cluster) -> None:
        self.classifier = classifier
        columns = classifier.align(cluster.genes)
        self._place = np.full(len(cluster.genes), -1, dtype=np.int64)
        self._place[columns] = np.arange(len(columns))
        self._X = cluster.values(columns)
        self._baseline = _answer(classifier.decide(self._X.copy()))  # a function may write into what it is given

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return self._place[genes] >= 0

    def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        X = self._X.copy()
        known = self.reads(genes)
        X[:, self._place[genes[known]]] = values[:, known]
        return X

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        try:
            return _answer(self.classifier.decide(self._changed(genes, values)))
        except InputRejected as refusal:
            return Answer(self._baseline.label, 0.0, rejected=True, reason=str(refusal))

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        n = len(self._X)
        labels = np.full(len(genes), self._baseline.label, dtype=object)
        shares = np.full(len(genes), self._baseline.share)
        rejected = np.zeros(len(genes), dtype=bool)
        todo = np.flatnonzero(self.reads(genes))
        size = max(1, _BATCH_BYTES // max(1, self._X.nbytes))
        for start in range(0, len(todo), size):
            batch = todo[start : start + size]
            stacked = np.concatenate([self._changed(genes[[k]], values[:, [k]]) for k in batch])
            try:
                cells = self.classifier.decide(stacked).labels
            except InputRejected:  # one of them was refused: ask one by one, to know which
                for k in batch:
                    answer = self.together(genes[[k]], values[:, [k]])
                    labels[k], shares[k], rejected[k] = answer.label, answer.share, answer.rejected
                continue
            for i, k in enumerate(batch):
                labels[k], shares[k], _ = vote(cells[i * n : (i + 1) * n])
        return Answers(labels.astype(str), shares, rejected)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        X = self._changed(genes, values)
        self._baseline = _answer(self.classifier.decide(X.copy()))
        self._X = X


def _answer(decision: Decision) -> Answer:
    label, share, _ = vote(decision.labels)
    return Answer(label, share, np.asarray(decision.labels, dtype=str), decision.scores)
