"""Exact incremental scoring for every classifier whose scores are a weighted sum of genes.

Marker scores, logistic regression, linear SVMs and CellTypist's models are all of the form
``score_k = b_k + sum_j W_kj * f_j(x_j)``: changing gene j adds ``W_kj * (f_j(new) - f_j(old))`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from adverscarial._compiled import compiled
from adverscarial._docs import documented
from adverscarial.cells.columns import as_slice, positions_among
from adverscarial.cells.ranges import Ranges
from adverscarial.classifiers.answers import Answer, Answers, Ballot
from adverscarial.classifiers.scorers.base import Changed, StatefulScorer
from adverscarial.classifiers.scorers.lead import lead_of
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_sums import (
    DOUBT,
    GENES_AT_ONCE,
    added_up,
    gaps_of,
    in_doubt,
    summed_in_place,
    summed_with_size,
)
from adverscarial.errors import InputRejected

#: changes accepted one upon the other before everything is summed anew, so that no rounding piles up
_ANEW = 64
#: values of cells and genes that are looked at without asking first which of them can matter
_ROOM = 2**15
#: values of cells and genes, times the genes that are asked about: fewer are summed anew, with no loop to compile
_SUMMED = 2**16

#: turns values of some of the model's genes, (cells or 1, k), into what the weights multiply, float64, (cells or 1, k)
Transform = Callable[[np.ndarray, np.ndarray], np.ndarray]


def logits_of(sums: np.ndarray) -> np.ndarray:
    """Return one logit per class, whose softmax is the probability: a single sum s becomes (-s/2, s/2)."""
    return np.hstack([-sums / 2, sums / 2]) if sums.shape[1] == 1 else sums


def gradient_of(weights: np.ndarray, model_weights: np.ndarray) -> np.ndarray:
    """Return the gradient of ``sum_k weights[c, k] * logit_k`` with respect to what `model_weights` multiply.

    Parameters
    ----------
    weights
        Shape (cells, classes).
    model_weights
        Shape (genes, classes), or (genes, 1) for two classes.
    """
    if model_weights.shape[1] == 1:
        weights = (weights[:, [1]] - weights[:, [0]]) / 2
    slopes: np.ndarray = weights @ model_weights.T
    return slopes


@documented
class LinearScorer(StatefulScorer):
    """State: the scores of the cluster's cells, and the transformed values they were summed from.

    Adding a difference to a sum rounds otherwise than summing anew. Where that could show (two scores tie, or a huge
    value is taken back) the cells are summed anew, so that labels are those of a full prediction also at exact ties.

    Parameters
    ----------
    X
        The cluster's values of the model's genes, shape (cells, genes).
    columns
        Where each of the model's genes stands in the data set; -1 for genes that the data set lacks.
    n_genes
        Genes in the data set.
    weights
        Shape (genes, classes); or (genes, 1) for two classes, where a positive sum means the second one.
    bias
        Shape (classes,), or (1,).
    labels
        Names that the codes stand for; the first ones are the classes, in the order of `weights`.
    transform
        Called with positions in the model and new values; None when values enter as they are. Where its answer is NaN
        or infinite the classifier refuses the input.
    checked
        Genes of the model that can be refused that way, and so are read even where their weight is 0.
    ranges
        Returns what the cells have of each of the model's genes, where that is known and values enter as they are.
    %(link)s
    """

    def __init__(  # noqa: PLR0913
        self,
        X: np.ndarray,
        columns: np.ndarray,
        n_genes: int,
        weights: np.ndarray,
        bias: np.ndarray,
        labels: Sequence[str],
        *,
        transform: Transform | None = None,
        checked: np.ndarray | None = None,
        link: Callable[[np.ndarray], np.ndarray] | None = None,
        ranges: Callable[[], Ranges] | None = None,
    ) -> None:
        self._weights = np.ascontiguousarray(weights, dtype=np.float64)
        self._bias = np.asarray(bias, dtype=np.float64)
        self._place = positions_among(columns, n_genes)
        self._matters = np.any(self._weights != 0, axis=1)
        if checked is not None:
            self._matters |= checked
        self._transform = transform
        self._link = link
        self._binary = self._weights.shape[1] == 1 and len(labels) > 1  # one class alone always wins
        self._ballot = Ballot(labels)
        self._known_ranges: Ranges | None = None
        self._ask_ranges = ranges
        self._set_state(X if transform is None else self._transformed(np.arange(len(weights)), X))

    def _transformed(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.asarray(values, dtype=np.float64) if self._transform is None else self._transform(columns, values)

    def _set_state(self, held: np.ndarray) -> None:
        self._held = held  # what the weights multiply, in the number type and the order that it came in
        self._sums, added = summed_with_size(held, self._weights)
        self._sums += self._bias
        # how much was added up for each cell, whatever cancelled
        self._size = (added + np.abs(self._bias)).max(axis=1)
        if len(self._weights) > GENES_AT_ONCE and in_doubt(self._sums, self._size).any():  # added up in parts
            self._sums = self._Z @ self._weights + self._bias
        self._accepted = 0
        self._note_sums()

    @property
    def _Z(self) -> np.ndarray:
        """What the weights multiply, float64; made where something needs all of it."""
        self._held = np.asarray(self._held, dtype=np.float64)
        return self._held

    def _now(self, columns: np.ndarray) -> np.ndarray:
        """Return what some weights multiply, float64, shape (cells, columns)."""
        return self._held[:, as_slice(columns)].astype(np.float64)

    @property
    def _ranges(self) -> Ranges:
        if self._known_ranges is None:
            self._known_ranges = Ranges.of(self._held) if self._ask_ranges is None else self._ask_ranges()
        return self._known_ranges

    def _note_sums(self) -> None:
        self._codes = self._decide(self._sums)
        self._counts = self._ballot.count(self._codes)
        self._baseline = self._ballot.answer(self._codes, self._report(self._sums))

    def _decide(self, sums: np.ndarray) -> np.ndarray:
        return (sums[:, 0] > 0).astype(np.int64) if self._binary else np.argmax(sums, axis=1)

    def _report(self, sums: np.ndarray) -> np.ndarray:
        return sums if self._link is None else self._link(sums)

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        columns = self._place[genes]
        reads: np.ndarray = (columns >= 0) & self._matters[columns]
        return reads

    def _known(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which genes matter, where they stand in the model, and their transformed values."""
        known = np.flatnonzero(self.reads(genes))
        columns = self._place[genes[known]]
        return known, columns, self._transformed(columns, values[:, known])

    def _changed(self, columns: np.ndarray, new: np.ndarray) -> np.ndarray:
        Z = self._Z.copy(order="K")  # the order that the full prediction multiplies in, so that it rounds alike
        Z[:, columns] = new
        return Z

    def _summed(self, columns: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return the sums with some genes changed, as exact as a full prediction."""
        weights = self._weights[columns]
        if 2 * len(columns) < len(self._weights):
            sums: np.ndarray = self._sums + (new - self._now(columns)) @ weights
            size = self._size + self._added(columns, new)
            if not in_doubt(sums, size).any():
                return sums
        return self._changed(columns, new) @ self._weights + self._bias

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        known, columns, new = self._known(genes, values)
        refused = ~np.isfinite(new).all(axis=0)
        if refused.any():
            new = np.where(refused, 0.0, new)
        reach = np.where(refused, 0, self._in_reach(columns, new))
        some, steps = np.flatnonzero(reach), np.zeros(len(columns))
        counts, steps[some] = self._counted(columns[some], new[:, some], reach[some])
        label = np.full(len(genes), self._baseline.label, dtype=self._ballot.labels.dtype)
        share = np.full(len(genes), self._baseline.share)
        label[known[some]], share[known[some]] = self._ballot.winners(counts)
        if (reach[~refused] < len(self._sums)).any():
            steps = new[0] - self._ranges.mean[as_slice(columns)]
        rejected = np.zeros(len(genes), dtype=bool)
        rejected[known] = refused
        label[rejected], share[rejected] = self._baseline.label, 0.0
        return Answers(label, share, rejected, self._lead_taken(len(genes), known, columns, steps))

    def _in_reach(self, columns: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return for each gene how many cells, in the order of their leads, it may give another label, or nearly so.

        A gene's smallest and largest value bound what its new value, the same for all cells, can take from a lead:
        cells that lead by more keep their labels.
        """
        n_cells = len(self._sums)
        if len(new) > 1 or len(columns) * n_cells <= _ROOM:
            return np.full(len(columns), n_cells)
        own, ranges = np.ascontiguousarray(self._weights[as_slice(columns)].T), self._ranges.some(as_slice(columns))
        highest, lowest = own.max(axis=0), own.min(axis=0)
        ends = new[0] - ranges.highest, new[0] - ranges.lowest
        most = np.maximum(*np.abs(ends)) * np.maximum(np.abs(highest), np.abs(lowest))
        lost = most if self._binary else np.zeros(len(columns))
        for code in () if self._binary else np.flatnonzero(self._counts):
            for end in ends:
                lost = np.maximum(lost, np.maximum(end * highest, end * lowest) - end * own[code])
        hidden = DOUBT * (self._size.max() + most)  # three times, since it rounds otherwise than each cell does
        reach: np.ndarray = np.searchsorted(np.sort(gaps_of(self._sums)), lost + 3 * hidden, side="right")
        return reach

    def _counted(self, columns: np.ndarray, new: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the votes with each gene changed alone, (genes, labels), and the mean change where all cells are read.

        `reach` says how many cells must be looked at, the one with the smallest lead first.
        """
        votes, unclear = np.tile(self._counts, (len(columns), 1)), np.zeros(len(columns), dtype=bool)
        gaps, steps = gaps_of(self._sums), np.zeros(len(columns))
        order = np.argsort(gaps)
        few = len(columns) * self._held.size <= _SUMMED
        for some in _rounds(reach):
            n = reach[some[-1]]
            cells = order[:n] if n < len(order) else slice(None)
            delta = new[:, some] - self._held[cells][:, columns[some]].astype(np.float64)
            now = self._sums[cells], self._size[cells], gaps[cells], self._codes[cells], self._binary
            counts, doubtful, delta = votes[some], unclear[some], np.ascontiguousarray(delta.T)
            if few:
                doubtful[:] = True
            else:
                _count_each(*now, delta, self._weights[columns[some]], counts, doubtful)
            votes[some], unclear[some], steps[some] = counts, doubtful, delta.mean(axis=1)
        for k in np.flatnonzero(unclear):
            sums = self._changed(columns[[k]], new[:, [k]]) @ self._weights + self._bias
            votes[k] = self._ballot.count(self._decide(sums))
        return votes, steps

    def _lead_taken(self, n_genes: int, known: np.ndarray, columns: np.ndarray, steps: np.ndarray) -> np.ndarray | None:
        """Return the share of the lead that each gene takes; `steps` has the mean change of the genes that matter."""
        scores, weights = self._sums, self._weights[columns]
        if self._binary:  # one sum: above 0 it means the second label
            scores, weights = logits_of(scores), logits_of(weights)
        lead = lead_of(scores, int(np.flatnonzero(self._ballot.labels == self._baseline.label)[0]))
        if lead is None:
            return None
        taken = np.zeros(n_genes)
        with np.errstate(over="ignore", invalid="ignore"):  # of a lead next to nothing
            taken[known] = -steps * (weights @ lead.weights(weights.shape[1])) / lead.gap + 0.0  # no minus 0
        return taken

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        _, columns, new = self._known(genes, values)
        if not np.isfinite(new).all():
            return Answer(self._baseline.label, 0.0, rejected=True, reason=_refusal(new))
        sums = self._summed(columns, new)
        return self._ballot.answer(self._decide(sums), self._report(sums))

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed:  # noqa: D102
        columns = self._place[genes]
        new = self._transformed(columns, values[None])[0]
        steps, weights = new - self._held[cells, columns], self._weights[columns]
        sums = self._sums[cells] + steps[:, None] * weights
        size = self._size[cells] + np.abs(steps) * np.abs(weights).max(axis=1)
        unsure = np.flatnonzero(in_doubt(sums, size))
        Z = self._Z[cells[unsure]]
        Z[np.arange(len(unsure)), columns[unsure]] = new[unsure]
        sums[unsure] = summed_in_place(cells[unsure], Z, self._Z, self._weights, self._bias)
        return Changed(self._ballot.labels, self._decide(sums), self._report(sums))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        _, columns, new = self._known(genes, values)
        if not np.isfinite(new).all():
            raise InputRejected(_refusal(new))
        self._accepted += 1
        if self._known_ranges is not None:
            self._known_ranges = self._known_ranges.replaced(columns, new)
        self._ask_ranges = None
        if self._accepted == _ANEW:
            self._set_state(self._changed(columns, new))
            return
        sums = self._summed(columns, new)
        self._size = self._size + self._added(columns, new)
        self._sums, self._held = sums, self._changed(columns, new)
        self._note_sums()

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:  # noqa: D102
        known, _, new = self._known(genes, values)
        refused = np.zeros(len(genes), dtype=bool)
        refused[known] = ~np.isfinite(new).all(axis=0)
        return refused

    def moves(self, genes: np.ndarray, values: np.ndarray) -> LinearMoves:  # noqa: D102
        known, columns, new = self._known(genes, values)
        if len(known) == len(genes):
            steps, weights = new - np.take(self._held, columns, axis=1), self._weights[columns]
        else:
            steps, weights = np.zeros((len(self._sums), len(genes))), np.zeros((len(genes), self._weights.shape[1]))
            steps[:, known], weights[known] = new - np.take(self._held, columns, axis=1), self._weights[columns]
        size = self._size + added_up(steps, weights).max(axis=1)
        found = LinearMoves(self._sums, steps, weights, size, self._codes)
        found.labels = self._ballot.labels[: found.scores.shape[1]]
        return found

    @property
    def labels(self) -> np.ndarray:
        """Names of the classes, in the order of the sums."""
        names: np.ndarray = np.asarray(self._ballot.labels)[: len(self._bias)]
        return names

    def report(self, sums: np.ndarray) -> np.ndarray:
        """Return the scores that the classifier makes of its sums."""
        return self._report(sums)

    def weighed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return genes of the data set, their weights, and the bias; None where more than that makes the sums.

        Sums are the values times the weights, plus the bias, unless values are transformed first or genes are missing.
        """
        genes = np.flatnonzero(self._place >= 0)
        if self._transform is not None or len(genes) < len(self._weights):
            return None
        return genes, self._weights[self._place[genes]], self._bias

    def _added(self, columns: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return a bound on what changing some genes adds up to, for each cell."""
        bound: np.ndarray = added_up(new - self._now(columns), self._weights[columns]).max(axis=1)
        return bound


def _refusal(transformed: np.ndarray) -> str:
    bad = int((~np.isfinite(transformed)).any(axis=0).sum())
    return f"the values of {bad:,} genes become NaN or infinite before they reach the model"


def _rounds(reach: np.ndarray) -> Iterator[np.ndarray]:
    """Yield positions of numbers above 0 in ascending order: alike up to twice, and as many as fit into the cache."""
    order = np.argsort(reach, kind="stable")
    ordered, start = reach[order], 0
    while start < len(order):
        most = 2 * ordered[start] if len(order) * ordered[-1] > _ROOM else ordered[-1]
        stop = min(int(np.searchsorted(ordered, most, side="right")), start + max(1, _ROOM // most))
        yield order[start:stop]
        start = stop


@compiled
def _count_each(
    sums: np.ndarray, size: np.ndarray, gaps: np.ndarray, codes: np.ndarray, binary: bool, delta: np.ndarray,
    weights: np.ndarray, counts: np.ndarray, unclear: np.ndarray,
) -> None:  # fmt: skip
    """Count the labels of all cells for each gene changed alone, (genes, labels); and say where rounding decides.

    `counts` are those before at first, `unclear` is false; what numpy does here would be compiled first, for longer
    than all this.
    """
    n_cells, n_classes = sums.shape
    moved = np.empty(n_classes, dtype=np.int64)  # the classes whose scores the gene moves
    for g in range(len(delta)):
        highest = lowest = weights[g, 0]
        n_moved = 0
        for k in range(n_classes):
            highest, lowest = max(highest, weights[g, k]), min(lowest, weights[g, k])
            if weights[g, k] != 0:
                moved[n_moved] = k
                n_moved += 1
        steepest = max(abs(highest), abs(lowest))
        for c in range(n_cells):
            step = delta[g, c]
            hidden = DOUBT * (size[c] + abs(step) * steepest)
            lost = abs(step) * steepest  # the most that the label's lead can lose
            if not binary:
                lost = max(step * highest, step * lowest) - step * weights[g, codes[c]]
            if gaps[c] - lost > 2 * hidden:  # too little for another label, and for a doubt
                continue
            own = codes[c]
            stays = not binary and weights[g, own] == 0 and gaps[c] > 2 * hidden
            best, top, second = 0, -np.inf, -np.inf
            if stays:  # and so does the next score, unless it is among the few that a marker moves
                best, top, second = own, sums[c, own], sums[c, own] - gaps[c]
            for i in range(n_moved if stays else n_classes):
                k = moved[i] if stays else i
                score = sums[c, k] + step * weights[g, k]
                if score > top:
                    second = top
                    top = score
                    best = k
                elif score > second:
                    second = score
            if binary:
                best = 1 if top > 0 else 0
                top, second = abs(top), 0.0
            counts[g, codes[c]] -= 1
            counts[g, best] += 1
            if top - second <= hidden:
                unclear[g] = True
