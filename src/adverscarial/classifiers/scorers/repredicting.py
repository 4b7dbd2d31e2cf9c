"""What the scorers share that classify changed values again, because nothing cheaper is exact."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.scorers.base import StatefulScorer
from adverscarial.errors import InputRejected


class RepredictingScorer(StatefulScorer):
    """State: the values that the classifier is asked about, and its answer; every query classifies them again."""

    incremental = False
    _X: np.ndarray

    def _start(self, X: np.ndarray) -> None:
        """Ask about the unmodified values."""
        self._baseline = self._answer(X.copy())
        self._X = X

    @abstractmethod
    def _answer(self, X: np.ndarray) -> Answer:
        """Ask about values; a function may write into what it is given, so it is never the state itself."""

    @abstractmethod
    def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return a copy of the state with some genes changed."""

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        try:
            return self._answer(self._changed(genes, values))
        except InputRejected as refusal:
            return Answer(self._baseline.label, 0.0, rejected=True, reason=str(refusal))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        self._start(self._changed(genes, values))

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        self._X, self._baseline = self._changed(genes, values), answer
