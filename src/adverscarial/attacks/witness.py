"""Does a classifier stand by its answers? A scorer that remembers a little, to ask it again at the end."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, Self

import numpy as np

from adverscarial.classifiers.base import Answer, Answers, Scorer
from adverscarial.errors import ClassifierError

_NO_GENES = np.empty(0, dtype=np.int64), np.empty((1, 0))


class ScorerAround(Scorer):
    """Another scorer, unchanged; subclasses do something before or after its questions.

    Parameters
    ----------
    scorer
        The one that answers.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.incremental = scorer, scorer.incremental

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self.scorer.baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return self.scorer.reads(genes)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        return self.scorer.together(genes, values)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        return self.scorer.each(genes, values)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        self.scorer.accept(genes, values)

    def fork(self) -> Self:  # noqa: D102
        other = copy.copy(self)
        other.scorer = self.scorer.fork()
        return other

    def __getattr__(self, name: str) -> Any:
        """Return what only some scorers have."""
        if name == "scorer":  # not set yet: while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.scorer, name)


class _Claim(NamedTuple):
    scorer: Scorer
    genes: np.ndarray
    values: np.ndarray
    label: str


class Witness(ScorerAround):
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

    def _remember(self, genes: np.ndarray, values: np.ndarray, label: str) -> None:
        self._claims[:] = [_Claim(self.scorer, np.array(genes), np.array(values), label)]

    def confirm(self, name: str, target: str) -> None:
        """Ask about the unmodified cluster and about the last claim again: one or two questions, which no meter counts.

        Raises
        ------
        ClassifierError
            If an answer differs from the one before.
        """
        again = self._first.together(*_NO_GENES)
        apart = _cells_apart(self._start, again)
        if again.rejected or again.label != self._start.label or apart:
            moved = f", {apart:,} of its cells are labelled differently" if apart else ""
            raise _fickle(name, f"about the unmodified cluster '{target}'", self._start.label, again, moved)
        for claim in self._claims:
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
        f"{name} gave different answers to the same question, {where}: first '{first}', then {second}{more}. "
        "Its flips cannot be told from its moods: fix its seed, switch off dropout (model.eval()), or leave it out."
    )
