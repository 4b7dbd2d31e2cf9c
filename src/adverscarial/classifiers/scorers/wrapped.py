"""A scorer around another one: what stands between an attack and a classifier's own scorer."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

from adverscarial.classifiers.answers import Answer, Answers
from adverscarial.classifiers.scorers.alike import Alike
from adverscarial.classifiers.scorers.base import Changed, Scorer
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.needs import Needs


class WrappedScorer(Scorer):
    """Another scorer, unchanged; subclasses do something before or after its queries.

    Parameters
    ----------
    scorer
        The one that answers.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.company = scorer, scorer.company
        self.incremental, self.leads = scorer.incremental, scorer.leads

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self.scorer.baseline

    @property
    def scans(self) -> bool:  # noqa: D102
        return self.scorer.scans

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return self.scorer.reads(genes)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        return self.scorer.together(genes, values)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        return self.scorer.each(genes, values)

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed | None:  # noqa: D102
        return self.scorer.pairs(cells, genes, values)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        self.scorer.accept(genes, values)

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        self.scorer.accept_known(genes, values, answer)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:  # noqa: D102
        return self.scorer.refused(genes, values)

    def moves(self, genes: np.ndarray, values: np.ndarray) -> Moves | None:  # noqa: D102
        return self.scorer.moves(genes, values)

    def needs(self, genes: np.ndarray, values: np.ndarray) -> Needs | None:  # noqa: D102
        return self.scorer.needs(genes, values)

    def pulls(self, genes: np.ndarray, values: np.ndarray, label: str) -> np.ndarray | None:  # noqa: D102
        return self.scorer.pulls(genes, values, label)

    def alike(self, genes: np.ndarray, values: np.ndarray) -> Alike | None:
        """Return None: what is done before or after a query is not known to a proof about the scorer inside."""
        return None

    def centre(self, alike: Alike) -> None:  # noqa: D102
        self.scorer.centre(alike)

    def fork(self) -> Self:  # noqa: D102
        other = copy.copy(self)
        other.scorer = self.scorer.fork()
        return other

    def __getattr__(self, name: str) -> Any:
        """Return what only some scorers have."""
        if name == "scorer":  # not set yet: while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.scorer, name)
