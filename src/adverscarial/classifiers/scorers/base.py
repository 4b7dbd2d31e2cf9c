"""What a scorer must do: answer what a classifier would say if some genes of one cluster were changed."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np

from adverscarial.classifiers.answers import Answer, Answers
from adverscarial.classifiers.scorers.alike import Alike
from adverscarial.classifiers.scorers.lead import lead_of_answer
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.needs import Needs


class Changed(NamedTuple):
    """What the classifier says of single cells, each with one gene changed."""

    labels: np.ndarray  # names that the codes stand for
    codes: np.ndarray  # shape (pairs,)
    scores: np.ndarray | None  # shape (pairs, classes)


class Scorer(ABC):
    """A classifier's state for the rows of one cluster.

    `genes` are positions in the *data set*; `values` has the shape (cells, genes), or (1, genes) where every cell
    gets the same value. Queries never change the state; :meth:`accept` does.
    """

    #: whether a query about one gene costs less than classifying the cluster again
    incremental: bool = True

    #: whether :meth:`each` tells how much of the label's lead a gene takes, so that short signatures are found at once
    leads: bool = True

    @property
    def scans(self) -> bool:
        """Whether :meth:`each` over all genes costs far less than classifying the cluster again for each of them."""
        return self.incremental

    #: where labels might depend on other cells: a test to run before an attack; it raises a ClassifierError if they do,
    #: and returns the number of cells that it asked about
    company: Callable[[], int] | None = None

    @property
    @abstractmethod
    def baseline(self) -> Answer:
        """The answer for the cluster as it stands now."""

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Return for which genes a change can make any difference: False is a proof that it cannot."""
        return np.ones(len(genes), dtype=bool)

    @abstractmethod
    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
        """Return the answer with all `genes` changed at once."""

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
        """Return one answer per gene, each changed alone."""
        answers = [self.together(genes[[k]], values[:, [k]]) for k in range(len(genes))]
        return Answers(
            np.array([a.label for a in answers], dtype=str),
            np.array([a.share for a in answers], dtype=float),
            np.array([a.rejected for a in answers], dtype=bool),
            _leads(self.baseline, answers),
        )

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed | None:
        """Return what becomes of single cells, each with one gene changed; None where that costs a whole prediction.

        Parameters
        ----------
        cells
            Positions in the cluster, shape (pairs,); a cell may come several times.
        genes
            Positions in the data set, each one that is read, shape (pairs,).
        values
            The new values, none of them refused, shape (pairs,).
        """
        return None

    @abstractmethod
    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
        """Make a change permanent; a refused one raises InputRejected and leaves the state as it was."""

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:
        """Make a change permanent about which :meth:`together` has just given `answer`.

        Scorers that ask the classifier anew in :meth:`accept` take the answer instead, and save the query.
        """
        self.accept(genes, values)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return for which genes the classifier refuses the new values, each gene changed alone."""
        return self.each(genes, values).rejected

    def moves(self, genes: np.ndarray, values: np.ndarray) -> Moves | None:
        """Return what changing some genes can do to the scores of each cell; None where nothing is proven.

        Parameters
        ----------
        genes, values
            As for :meth:`together`; every gene is read, and none of the values is refused.
        """
        return None

    def needs(self, genes: np.ndarray, values: np.ndarray) -> Needs | None:
        """Return how many genes each cell needs to get each label; None where nothing is proven.

        Asked where there are no :meth:`moves`. Genes and values are as there.
        """
        return None

    def pulls(self, genes: np.ndarray, values: np.ndarray, label: str) -> np.ndarray | None:
        """Return how much nearer each gene, changed alone, brings the cells to a label; None where that is not known.

        Asked where there are no :meth:`moves`. This only guides searches: nothing is proven by it.
        """
        return None

    def alike(self, genes: np.ndarray, values: np.ndarray) -> Alike | None:
        """Return what proves the label of all cells at once, where they have become alike; None where nothing does.

        Genes and values are as for :meth:`together`: those that will be asked about.
        """
        return None

    def centre(self, alike: Alike) -> None:
        """Let what :meth:`alike` returned tell of the cells as they stand in this scorer, a fork of that one."""
        raise NotImplementedError

    def fork(self) -> Self:
        """Return a copy whose later :meth:`accept` calls leave this one alone.

        The copy shares its arrays with this one: `accept` must replace arrays, never write into them.
        """
        return copy.copy(self)


class StatefulScorer(Scorer):
    """A scorer that keeps the answer for the cluster as it stands now, as ``_baseline``."""

    _baseline: Answer

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._baseline


def _leads(before: Answer, answers: list[Answer]) -> np.ndarray | None:
    lead = lead_of_answer(before)
    if lead is None:
        return None
    gaps = [
        np.nan if a.scores is None else float((a.scores[:, lead.own] - a.scores[:, lead.rival]).mean()) for a in answers
    ]
    return lead.taken(np.array(gaps, dtype=np.float64))
