"""One run of an attack: its queries, what they cost, and when to stop. No search can forget to count."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from adverscarial._docs import documented
from adverscarial._progress import Advance, stand_still
from adverscarial.attacks.recognition import right_cells
from adverscarial.cells.choice import chosen_of
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.answers import Answer, Answers, is_named, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.alike import Alike
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.modifications import Modification

if TYPE_CHECKING:
    from adverscarial.attacks.base import Attack
    from adverscarial.attacks.result import Result


class BudgetSpent(Exception):
    """Raised inside a search when no query is left."""


@dataclass
class Meter:
    """What a run has cost so far.

    Attributes
    ----------
    budget
        Most queries; None without a limit.
    queries, proven, cells
        Queries asked; genes answered without one, by proof; cells times queries.
    reserve
        Queries of the budget that the search must leave, for the check at the end.
    started
        Clock at the start, in seconds.
    advance
        Moves the progress bar.
    """

    budget: int | None = None
    queries: int = 0
    proven: int = 0
    cells: int = 0
    reserve: int = 0
    started: float = field(default_factory=time.perf_counter)
    advance: Advance = field(default=stand_still, repr=False)

    @property
    def left(self) -> int | None:
        """Queries left for the search; None without a budget."""
        return None if self.budget is None else max(0, self.budget - self.reserve - self.queries)

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started

    def ask(self, queries: int, cells: int) -> None:
        """Count queries, or raise :class:`BudgetSpent` if not that many are left."""
        if self.left is not None and queries > self.left:
            raise BudgetSpent
        self.count(queries, queries * cells)

    def count(self, queries: int, cells: int) -> None:
        """Count queries that have been asked, about so many cells in all."""
        self.queries += queries
        self.cells += cells

    def can_ask(self, cells: int) -> bool:
        """Count one query and return True; return False where none is left."""
        try:
            self.ask(1, cells)
        except BudgetSpent:
            return False
        return True


@documented
class Run:
    """One run of an attack on one cluster: it answers queries, and counts them.

    Parameters
    ----------
    %(cluster)s
    scorer
        The classifier's state for it.
    model
        The classifier, for attacks that read its classes or rank genes by it.
    meter
        Shared by all forks of a run.
    attack
        Its settings ``modification`` and ``change_type`` are used where it has them.

    Attributes
    ----------
    baseline
        What the classifier says of the unmodified cluster, an :class:`~adverscarial.classifiers.Answer`.
    modification
        What is done to a gene; None for attacks that choose values themselves.
    change_type
        ``"any"``: every other label is a change. ``"named"``: only a real cell type is.
    towards
        Only these labels are a change; empty where all are.
    """

    def __init__(
        self, cluster: Cluster, scorer: Scorer, model: Classifier, meter: Meter, attack: Attack[Result] | None = None
    ) -> None:
        self.cluster, self.scorer, self.model, self.meter, self.attack = cluster, scorer, model, meter, attack
        changes = () if attack is None else attack.changes
        self.modification: Modification | None = changes[0] if len(changes) == 1 else None
        self.change_type: str = getattr(attack, "change_type", "any")
        self.towards: tuple[str, ...] = () if attack is None else attack.aim
        self.baseline = scorer.baseline
        self._values: np.ndarray | None = None
        self._cached: np.ndarray | None = None
        self._remembered = np.empty(0, dtype=np.int64)
        self._alike: Alike | None = None

    def shared(self, *, label: str, share: float, complete: bool) -> dict[str, Any]:
        """Return the fields that every :class:`Result` has, as keyword arguments.

        Parameters
        ----------
        label, share
            What the classifier says of the cluster after the attack, and the share of its cells that carry it.
        complete
            False when the budget ended the search early.
        """
        cluster, meter = self.cluster, self.meter
        votes = {} if self.baseline.labels is None else vote(self.baseline.labels)[2]
        return {
            "rounded": self._whole, "votes": votes,
            "right": right_cells(votes, cluster.target, cluster.names, self.model.labels),
            "attack": self.attack, "classifier": self.model.name, "groupby": cluster.groupby, "target": cluster.target,
            "layer": cluster.layer, "source": chosen_of(cluster.adata), "seed": cluster.seed,
            "baseline": self.baseline.label,
            "baseline_share": self.baseline.share, "n_cells": cluster.n_cells, "queries": meter.queries,
            "proven": meter.proven, "cells_rescored": meter.cells, "seconds": meter.seconds,
            "label": label, "share": share, "complete": complete,
        }  # fmt: skip

    @property
    def _whole(self) -> bool:
        """Whether new values were made whole, because the data hold counts."""
        changes = () if self.attack is None else self.attack.changes
        made = any(one.possible for one in changes) if changes else not getattr(self.attack, "reference", False)
        return made and self.cluster.counts

    def advance(self, steps: float = 1) -> None:
        """Move the progress bar."""
        self.meter.advance(steps)

    def fork(self) -> Self:
        """Return a run whose accepted changes leave this one alone; costs are counted together."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.scorer = self.scorer.fork()
        return other

    def remember(self, genes: np.ndarray) -> None:
        """Compute the new values of `genes` once, for a search that asks about them many times."""
        if self.modification is not None and not self.modification.joint:
            self._values = self.values(genes)
            self._values.flags.writeable = False  # it is handed out without being copied
            self._cached = positions_among(genes, len(self.cluster.genes))
            self._remembered, self._alike = genes, None

    def alike(self) -> Alike | None:
        """Return what proves the label of all cells at once with some of the remembered genes changed; None if nothing.

        See :meth:`~adverscarial.classifiers.scorers.base.Scorer.alike`. Each caller gets its own.
        """
        if self._values is None:
            return None
        if self._alike is None:
            self._alike = self.scorer.alike(self._remembered, self._values)
        return copy.copy(self._alike)

    def values(self, genes: np.ndarray) -> np.ndarray:
        """Return the new values of `genes`, rounded to what the data can hold."""
        if self._values is not None and self._cached is not None:
            kept = self._cached[genes]
            if (kept >= 0).all():
                whole = np.array_equal(kept, np.arange(self._values.shape[1]))
                return self._values if whole else self._values[:, kept]
        assert self.modification is not None
        with np.errstate(over="ignore"):
            return self.modification.new_values(self.cluster, genes).astype(self.cluster.dtype)

    def each(self, genes: np.ndarray, on_answers: Callable[[np.ndarray, np.ndarray], object] | None = None) -> Answers:
        """Return one answer per gene changed alone. Genes the classifier does not read are answered by that proof.

        Parameters
        ----------
        genes
            Positions.
        on_answers
            Called with the genes that the classifier was asked about, and their new values.
        """
        reads = self.scorer.reads(genes)
        asked = genes[reads]
        self.meter.ask(len(asked), self.cluster.n_cells)
        self.meter.proven += len(genes) - len(asked)
        now, n = self.scorer.baseline, len(genes)
        if not len(asked):
            return Answers(np.full(n, str(now.label)), np.full(n, now.share), np.zeros(n, dtype=bool), np.zeros(n))
        values = self._each_values(asked)
        answers = self.scorer.each(asked, values)
        if on_answers is not None:
            on_answers(asked, values)
        lead = np.zeros(n)
        lead[reads] = np.nan if answers.lead is None else answers.lead
        if len(asked) == n:
            return Answers(np.asarray(answers.label, dtype=str), answers.share, answers.rejected, lead)
        label = np.full(n, now.label, dtype=object)
        share, rejected = np.full(n, now.share), np.zeros(n, dtype=bool)
        label[reads], share[reads], rejected[reads] = answers.label, answers.share, answers.rejected
        return Answers(label.astype(str), share, rejected, lead)

    def _each_values(self, genes: np.ndarray) -> np.ndarray:
        if self.modification is None or not self.modification.joint:
            return self.values(genes)
        return np.concatenate([self.values(genes[[k]]) for k in range(len(genes))], axis=1)

    def together(self, genes: np.ndarray) -> Answer:
        """Return the answer with all `genes` changed at once."""
        self.meter.ask(1, self.cluster.n_cells)
        return self.scorer.together(genes, self.values(genes))

    def accept(self, genes: np.ndarray, known: Answer | None = None) -> None:
        """Change `genes` for good, in this run.

        Parameters
        ----------
        genes
            Positions.
        known
            The answer to this very change, where it is known. Without it, a classifier whose every answer is a
            prediction from scratch is asked, and the query is counted.
        """
        self._alike = None
        if known is None:
            if not self.scorer.incremental:
                self.meter.ask(1, self.cluster.n_cells)
            self.scorer.accept(genes, self.values(genes))
        else:
            self.scorer.accept_known(genes, self.values(genes), known)

    @overload
    def changed(self, label: str) -> bool: ...
    @overload
    def changed(self, label: np.ndarray) -> np.ndarray: ...

    def changed(self, label: np.ndarray | str) -> np.ndarray | bool:
        """Return whether a label counts as another one than the baseline."""
        if self.change_type == "any" and not self.towards:
            return label != self.baseline.label
        if isinstance(label, str):
            return self._counts(label)
        counts = {name: self._counts(str(name)) for name in np.unique(label)}
        moved: np.ndarray = np.array([counts[name] for name in label], dtype=bool)
        return moved

    def _counts(self, label: str) -> bool:
        wanted = (not self.towards or label in self.towards) and (self.change_type == "any" or is_named(label))
        return wanted and label != self.baseline.label
