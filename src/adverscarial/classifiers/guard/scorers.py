"""Scorers behind a guard: the classifier's own scorer, asked about clipped values, or about possible ones only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among, values_now
from adverscarial.classifiers.answers import Answer, Answers, vote
from adverscarial.classifiers.guard.limits import Limits, Totals
from adverscarial.classifiers.scorers.base import Changed, Scorer
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.needs import Needs
from adverscarial.classifiers.scorers.wrapped import WrappedScorer
from adverscarial.errors import InputRejected

if TYPE_CHECKING:
    from adverscarial.classifiers.guard.guard import Guard

#: the label of a cell that the guard does not trust
UNSURE = "unknown"


class ClippingScorer(WrappedScorer):
    """Asks the classifier's own scorer about the nearest possible values.

    Parameters
    ----------
    scorer
        The classifier's own, of the clipped cluster.
    limits
        What is possible.
    place
        Where each gene of the data stands among those watched; -1 for the others.
    """

    def __init__(self, scorer: Scorer, limits: Limits, place: np.ndarray) -> None:
        super().__init__(scorer)
        self._limits, self._place = limits, place

    def _clipped(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        columns = self._place[genes]
        watched = columns >= 0
        if watched.all():
            return self._limits.clipped(values, columns)
        values = values.copy()
        values[:, watched] = self._limits.clipped(values[:, watched], columns[watched])
        return values

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        return self.scorer.together(genes, self._clipped(genes, values))

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        return self.scorer.each(genes, self._clipped(genes, values))

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed | None:  # noqa: D102
        return self.scorer.pairs(cells, genes, self._clipped(genes, values[None])[0])

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        self.scorer.accept(genes, self._clipped(genes, values))

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        self.scorer.accept_known(genes, self._clipped(genes, values), answer)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:  # noqa: D102
        return self.scorer.refused(genes, self._clipped(genes, values))

    def moves(self, genes: np.ndarray, values: np.ndarray) -> Moves | None:  # noqa: D102
        return self.scorer.moves(genes, self._clipped(genes, values))

    def needs(self, genes: np.ndarray, values: np.ndarray) -> Needs | None:  # noqa: D102
        return self.scorer.needs(genes, self._clipped(genes, values))

    def pulls(self, genes: np.ndarray, values: np.ndarray, label: str) -> np.ndarray | None:  # noqa: D102
        return self.scorer.pulls(genes, self._clipped(genes, values), label)


class JudgingScorer(WrappedScorer):
    """Judges the changed cells; impossible ones are refused, or answered "unknown".

    State: the cluster's values as they were, the columns that were changed since, how many impossible values each cell
    holds, its sum and its number of zeros. A query about one gene costs one comparison per cell.

    Parameters
    ----------
    scorer
        The classifier's own; behind a :class:`ClippingScorer` where impossible cells get an answer.
    guard, cluster
        What judges, and the cluster under attack.

    Raises
    ------
    InputRejected
        If the guard refuses, and an unmodified cell is impossible.
    """

    def __init__(self, scorer: Scorer, guard: Guard, cluster: Cluster) -> None:
        super().__init__(scorer)
        self.incremental = scorer.incremental and guard.detector is None
        self._guard, self._limits, self._refuses = guard, guard.limits, guard.action == "refuse"
        columns = guard.align(cluster.genes)
        self._place = positions_among(columns, len(cluster.genes))
        self._X, self._changed = cluster.values(columns), dict[int, np.ndarray]()
        self._n_bad = self._limits.impossible(self._X, np.arange(len(columns))).sum(axis=1)
        self._totals = self._limits.totals(self._X)
        self._added_up = np.abs(self._X).sum(axis=1, dtype=np.float64)  # the most that a sum has held
        self._out = self._judged(np.empty(0, np.int64), np.empty((1, 0)))
        if self._refuses and self._out.any():
            raise InputRejected(guard.refusal(self._out, self._X))

    @property
    def scans(self) -> bool:  # noqa: D102
        return self._guard.detector is None and self.scorer.scans

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed | None:
        """Nothing: what a guard refuses must not pass as another way to ask."""
        return None

    # ------------------------------------------------------------------ what is possible

    def _now(self, columns: np.ndarray) -> np.ndarray:
        """Return the values of some watched genes as they stand, float64, shape (cells, len(columns))."""
        return values_now(self._X, self._changed, columns)

    def _known(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of the genes that are watched, and their values as the data can hold them."""
        columns = self._place[genes]
        watched = columns >= 0
        rounded: np.ndarray = values[:, watched].astype(self._X.dtype)
        return columns[watched], rounded.astype(np.float64)

    def _whole(self, cells: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return some cells with all their genes, after a change."""
        X: np.ndarray = self._X[cells]
        for place, column in self._changed.items():
            X[:, place] = column[cells] if len(column) > 1 else column
        X[:, columns] = values[cells] if len(values) > 1 else values
        return X

    def _bad(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return how many impossible values each change adds, shape (cells, len(columns))."""
        before = self._limits.impossible(self._now(columns), columns)
        added: np.ndarray = self._limits.impossible(values, columns).astype(np.int64) - before
        return added

    def _judged(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return which cells are impossible with all these changed, shape (cells,)."""
        out: np.ndarray = self._n_bad + self._bad(columns, values).sum(axis=1) > 0
        if self._limits.of_cells:
            totals, most = self._moved(columns, values, together=True)
            found = self._limits.impossible_cells(totals)
            for cell in np.flatnonzero(self._limits.undecided(totals.size, most) & ~out):
                whole = self._limits.totals(self._whole(np.array([cell]), columns, values))
                found[cell] = self._limits.impossible_cells(whole)[0]
            out |= found
        if self._guard.detector is not None:
            out |= self._guard.far(self._whole(np.arange(len(self._X)), columns, values))
        return out

    def _moved(self, columns: np.ndarray, values: np.ndarray, *, together: bool) -> tuple[Totals, np.ndarray]:
        """Return the cells' totals after a change, and how much was added up for the sums."""
        old = self._now(columns)
        steps, zeros = values - old, (values == 0).astype(np.float64) - (old == 0)
        size = np.abs(values) + np.abs(old)
        if together:
            steps, zeros, size = steps.sum(axis=1), zeros.sum(axis=1), size.sum(axis=1)
            return Totals(self._totals.size + steps, self._totals.zeros + zeros), self._added_up + size
        now = Totals(self._totals.size[:, None] + steps, self._totals.zeros[:, None] + zeros)
        return now, self._added_up[:, None] + size

    def _judged_each(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return which cells are impossible with each gene changed alone, shape (cells, genes)."""
        out = np.repeat(self._out[:, None], len(genes), axis=1)
        watched = np.flatnonzero(self._place[genes] >= 0)
        columns, new = self._known(genes, values)
        if self._guard.detector is not None:
            for k, j in enumerate(watched):
                out[:, j] = self._judged(columns[[k]], new[:, [k]])
            return out
        found = self._n_bad[:, None] + self._bad(columns, new) > 0
        if self._limits.of_cells:
            totals, most = self._moved(columns, new, together=False)
            cells = self._limits.impossible_cells(totals)
            for cell, k in np.argwhere(self._limits.undecided(totals.size, most) & ~found):
                whole = self._limits.totals(self._whole(np.array([cell]), columns[[k]], new[:, [k]]))
                cells[cell, k] = self._limits.impossible_cells(whole)[0]
            found |= cells
        out[:, watched] = found
        return out

    # ------------------------------------------------------------------ answers

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._marked(self.scorer.baseline, self._out)

    def _marked(self, answer: Answer, out: np.ndarray) -> Answer:
        """Return the answer with impossible cells labelled "unknown"."""
        if answer.rejected or not out.any():
            return answer
        assert answer.labels is not None
        labels = np.where(out, UNSURE, answer.labels)
        label, share, _ = vote(labels)
        return Answer(label, share, labels, answer.scores)

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Return which genes matter: one that the classifier does not read can still have an impossible value."""
        reads: np.ndarray = (self._place[genes] >= 0) | self.scorer.reads(genes)
        return reads

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        out = self._judged(*self._known(genes, values))
        if self._refuses and out.any():
            return Answer(self.baseline.label, 0.0, rejected=True, reason=self._reason(out))
        return self._marked(self.scorer.together(genes, values), out)

    def _reason(self, out: np.ndarray) -> str:
        return f"{int(out.sum()):,} of {len(out):,} cells would be impossible"

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        out, reads, now = self._judged_each(genes, values), self.scorer.reads(genes), self.scorer.baseline
        some, all_ = out.any(axis=0), out.all(axis=0)
        label, share = np.full(len(genes), now.label, dtype=object), np.full(len(genes), now.share)
        rejected, mixed = np.zeros((2, len(genes)), dtype=bool)
        lead = np.full(len(genes), np.nan)
        if self._refuses:
            rejected |= some
        else:  # the scorer tells labels of single cells about all changes together only
            mixed |= some & ~all_
        asked = reads & ~mixed & ~rejected
        if not asked.all():
            lead[~reads & ~some] = 0.0
        found = self.scorer.each(genes[asked], values[:, asked])
        label[asked], share[asked], rejected[asked] = found.label, found.share, found.rejected
        if found.lead is not None:
            lead[asked] = found.lead
        unsure = all_ & ~rejected & ~mixed
        label[unsure], share[unsure] = UNSURE, 1.0
        for k in np.flatnonzero(mixed):
            answer = self._marked(self.scorer.together(genes[[k]], values[:, [k]]), out[:, k])
            label[k], share[k], rejected[k] = answer.label, answer.share, answer.rejected
        share[rejected] = 0.0
        return Answers(label.astype(str), share, rejected, None if found.lead is None else lead)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:  # noqa: D102
        refused: np.ndarray = self.scorer.refused(genes, values)
        return refused | self._judged_each(genes, values).any(axis=0) if self._refuses else refused

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        out = self._settled(genes, values)
        self.scorer.accept(genes, values)
        self._settle(genes, values, out)

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        out = self._settled(genes, values)
        if out.any():  # the answer is not the classifier's own
            self.scorer.accept(genes, values)
        else:
            self.scorer.accept_known(genes, values, answer)
        self._settle(genes, values, out)

    def _settled(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        out = self._judged(*self._known(genes, values))
        if self._refuses and out.any():
            raise InputRejected(self._reason(out))
        return out

    def _settle(self, genes: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
        columns, new = self._known(genes, values)
        self._n_bad = self._n_bad + self._bad(columns, new).sum(axis=1)
        self._totals, self._added_up = self._moved(columns, new, together=True)
        self._changed = self._changed | {int(place): new[:, k] for k, place in enumerate(columns)}
        self._out = out

    # ------------------------------------------------------------------ proofs

    def moves(self, genes: np.ndarray, values: np.ndarray) -> Moves | None:
        """Return the classifier's own moves, where no set of these changes makes a cell impossible."""
        return self.scorer.moves(genes, values) if self._harmless(genes, values) else None

    def needs(self, genes: np.ndarray, values: np.ndarray) -> Needs | None:
        """Return the classifier's own needs, where no set of these changes makes a cell impossible."""
        return self.scorer.needs(genes, values) if self._harmless(genes, values) else None

    def _harmless(self, genes: np.ndarray, values: np.ndarray) -> bool:
        columns, new = self._known(genes, values)
        limits = self._limits
        if self._out.any() or self._guard.detector is not None or limits.impossible(new, columns).any():
            return False
        if not limits.of_cells:
            return True
        old = self._now(columns)
        steps, zeros = new - old, (new == 0).astype(np.float64) - (old == 0)
        for least in (True, False):  # the smallest and the largest that any set can reach
            end = np.minimum if least else np.maximum
            size = self._totals.size + end(steps, 0).sum(axis=1)
            most = self._added_up + np.abs(new).sum(axis=1) + np.abs(old).sum(axis=1)
            totals = Totals(size, self._totals.zeros + end(zeros, 0).sum(axis=1))
            if limits.impossible_cells(totals).any() or limits.undecided(size, most).any():
                return False
        return True
