"""One run of an attack: its questions, what they cost, and when to stop. No search can forget to count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from adverscarial._progress import Advance, stand_still
from adverscarial.classifiers.base import Answer, Answers, Classifier, Scorer, is_named
from adverscarial.cluster import Cluster
from adverscarial.errors import ClassifierError
from adverscarial.modifications import Modification


class BudgetSpent(Exception):
    """Raised inside a search when no question is left."""


@dataclass
class Meter:
    """What a run has cost so far."""

    budget: int | None = None
    queries: int = 0
    proven: int = 0
    cells: int = 0
    #: moves the progress bar
    advance: Advance = field(default=stand_still, repr=False)

    @property
    def left(self) -> int | None:
        """Questions left; None without a budget."""
        return None if self.budget is None else max(0, self.budget - self.queries)

    def ask(self, questions: int, cells: int) -> None:
        """Count questions, or raise :class:`BudgetSpent` if not that many are left."""
        if self.left is not None and questions > self.left:
            raise BudgetSpent
        self.queries += questions
        self.cells += questions * cells


class Session:
    """A scorer, with its questions counted.

    Parameters
    ----------
    cluster
        The cluster under attack.
    scorer
        The classifier's state for it.
    modification
        What is done to a gene; None for attacks that choose values themselves.
    change_type
        ``"any"``: every other label is a change. ``"named"``: only a real cell type is.
    meter
        Shared by all forks of a run.
    model
        The classifier, for attacks that read its classes or rank genes by it.
    """

    def __init__(
        self,
        cluster: Cluster,
        scorer: Scorer,
        modification: Modification | None,
        change_type: str,
        meter: Meter,
        model: Classifier,
    ) -> None:
        self.cluster, self.scorer, self.modification = cluster, scorer, modification
        self.change_type, self.meter, self.model = change_type, meter, model
        self.baseline = scorer.baseline
        self._values: np.ndarray | None = None
        self._cached: np.ndarray | None = None

    def fork(self) -> Self:
        """Return a session whose accepted changes leave this one alone; costs are counted together."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.scorer = self.scorer.fork()
        return other

    def remember(self, genes: np.ndarray) -> None:
        """Compute the new values of `genes` once, for a search that asks about them many times."""
        if self.modification is not None and not self.modification.joint:
            self._values = self.values(genes)
            self._cached = np.full(len(self.cluster.genes), -1, dtype=np.int64)
            self._cached[genes] = np.arange(len(genes))

    def values(self, genes: np.ndarray) -> np.ndarray:
        """Return the new values of `genes`, rounded to what the data can hold."""
        if self._values is not None and self._cached is not None:
            places = self._cached[genes]
            if (places >= 0).all():
                return self._values[:, places]
        assert self.modification is not None
        with np.errstate(over="ignore"):
            return self.modification.values(self.cluster, genes).astype(self.cluster.dtype)

    def each(self, genes: np.ndarray) -> Answers:
        """Return one answer per gene changed alone. Genes the classifier does not read are answered by that proof."""
        reads = self.scorer.reads(genes)
        now = self.scorer.baseline
        label = np.full(len(genes), now.label, dtype=object)
        share = np.full(len(genes), now.share)
        rejected = np.zeros(len(genes), dtype=bool)
        asked = genes[reads]
        self.meter.ask(len(asked), self.cluster.n_cells)
        self.meter.proven += len(genes) - len(asked)
        if len(asked):
            answers = self.scorer.each(asked, self._each_values(asked))
            label[reads], share[reads], rejected[reads] = answers.label, answers.share, answers.rejected
        return Answers(label.astype(str), share, rejected)

    def _each_values(self, genes: np.ndarray) -> np.ndarray:
        if self.modification is None or not self.modification.joint:
            return self.values(genes)
        return np.concatenate([self.values(genes[[k]]) for k in range(len(genes))], axis=1)

    def together(self, genes: np.ndarray) -> Answer:
        """Return the answer with all `genes` changed at once."""
        self.meter.ask(1, self.cluster.n_cells)
        return self.scorer.together(genes, self.values(genes))

    def accept(self, genes: np.ndarray) -> None:
        """Change `genes` for good, in this session."""
        self.scorer.accept(genes, self.values(genes))

    def changed(self, label: np.ndarray | str) -> Any:
        """Return whether a label counts as another one than the baseline."""
        if self.change_type == "any":
            return label != self.baseline.label
        if isinstance(label, str):
            return label != self.baseline.label and is_named(label)
        named = {name: is_named(name) for name in np.unique(label)}
        return (label != self.baseline.label) & np.array([named[name] for name in label], dtype=bool)


def check_baseline(answer: Answer, cluster: Cluster, name: str) -> None:
    """Raise a ClassifierError when the classifier cannot even label the unmodified cluster."""
    if answer.scores is not None and np.isnan(answer.scores).any():
        raise ClassifierError(
            f"{name} gives NaN for {int(np.isnan(answer.scores).any(axis=1).sum()):,} of {cluster.n_cells:,} "
            f"unmodified cells of '{cluster.target}'. Attack the kind of values it was trained on."
        )
    if answer.labels is not None and len(answer.labels) != cluster.n_cells:
        raise ClassifierError(f"{name} labelled {len(answer.labels):,} cells of {cluster.n_cells:,}.")
