"""Does a classifier stand by its answers? A scorer that remembers a little, to ask it again at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from adverscarial.classifiers.answers import Answer, Answers
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.wrapped import WrappedScorer
from adverscarial.errors import ClassifierError

_NO_GENES = np.empty(0, dtype=np.int64), np.empty((1, 0))


class _Claim(NamedTuple):
    scorer: Scorer
    genes: np.ndarray
    values: np.ndarray
    label: str


class Recheck(WrappedScorer):
    """Remembers the last flip, or the last change made for good, of a run; :meth:`confirm` asks about it again.

    For classifiers whose every answer is a prediction from scratch: a service, a function, a model with chance in it.
    The incremental scorers of this package compute from their own state, and cannot change their minds.

    Parameters
    ----------
    scorer
        The one that answers.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer)
        self._first, self._start = scorer, scorer.baseline
        self._claims: list[_Claim] = []  # one list for all forks

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        answer = self.scorer.together(genes, values)
        if not answer.rejected and answer.label != self.baseline.label:
            self._remember(genes, values, answer.label)
        return answer

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        answers = self.scorer.each(genes, values)
        flips = np.flatnonzero((answers.label != self.baseline.label) & ~answers.rejected)
        if len(flips):
            self._remember(genes[flips[:1]], values[:, flips[:1]], str(answers.label[flips[0]]))
        return answers

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        self.scorer.accept(genes, values)
        self._remember(*_NO_GENES, self.baseline.label)  # an older claim may be of a state that is no more

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        self.scorer.accept_known(genes, values, answer)
        self._remember(*_NO_GENES, self.baseline.label)

    def _remember(self, genes: np.ndarray, values: np.ndarray, label: str) -> None:
        self._claims[:] = [_Claim(self.scorer, np.array(genes), np.array(values), label)]

    def confirm(self, name: str, target: str, ask: Callable[[], bool]) -> None:
        """Ask about the unmodified cluster and about the last claim again.

        Parameters
        ----------
        name, target
            Of the classifier and of the cluster, for the message.
        ask
            Counts one query, and returns False where the budget has none left.

        Raises
        ------
        ClassifierError
            If an answer differs from the one before.
        """
        if not ask():
            return
        again = self._first.together(*_NO_GENES)
        apart = _cells_apart(self._start, again)
        if again.rejected or again.label != self._start.label or apart:
            moved = f", {apart:,} of its cells are labelled differently" if apart else ""
            raise _fickle(name, f"about the unmodified cluster '{target}'", self._start.label, again, moved)
        for claim in self._claims:
            if not ask():
                return
            again = claim.scorer.together(claim.genes, claim.values)
            if again.rejected or again.label != claim.label:
                raise _fickle(name, f"about {len(claim.genes):,} changed gene(s) of '{target}'", claim.label, again, "")


def _cells_apart(before: Answer, now: Answer) -> int:
    """Return how many cells are labelled differently; 0 for a classifier that labels whole clusters only.

    The number that such a classifier gives beside its label may differ in the last digit, as sums over all cells do.
    """
    if before.labels is None or now.labels is None:
        return 0
    return int((np.asarray(before.labels) != np.asarray(now.labels)).sum())


def _fickle(name: str, where: str, first: str, again: Answer, more: str) -> ClassifierError:
    second = "a refusal" if again.rejected else f"'{again.label}'"
    return ClassifierError(
        f"{name} gave different answers to the same query, {where}: first '{first}', then {second}{more}. "
        "A label that changes by itself cannot be told from one that an attack flips: fix the classifier's seed, "
        "switch off dropout (model.eval()), or leave it out."
    )
