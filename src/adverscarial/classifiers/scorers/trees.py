"""The exact incremental scorer over a tree ensemble.

A changed gene can matter only at the nodes, on a cell's own path through a tree, that test this gene, and there only
if the comparison turns out differently. So a query about one gene re-walks a few subtrees of a few cells, and one
sweep over all paths answers the query for thousands of genes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np

from adverscarial._compiled import compiled
from adverscarial._docs import documented
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.answers import Answer, Answers, Ballot
from adverscarial.classifiers.scorers.base import Changed, StatefulScorer
from adverscarial.classifiers.scorers.lead import Lead, lead_of
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.scorers.tree_moves import TreeMoves
from adverscarial.classifiers.scorers.tree_pairs import Pairs, Standing, sums_of_pairs
from adverscarial.classifiers.scorers.tree_walks import sum_again, sum_leaves, turn, walk_again, walk_all, walk_with
from adverscarial.errors import InputRejected


class _Moved(NamedTuple):
    """What becomes of the cells: trees that test a changed gene, the leaves reached there, and the new sums."""

    again: np.ndarray
    reached: np.ndarray
    sums: np.ndarray


@documented
class TreeScorer(StatefulScorer):
    """State: each cell's values, and the leaf it reaches in each tree.

    Parameters
    ----------
    trees
        The ensemble.
    X
        The cluster's values of the model's genes, shape (cells, genes).
    columns
        Where each of the model's genes stands in the data set.
    n_genes
        Genes in the data set.
    labels
        Classes in the order of the scores (for one score column: the label below zero, the label above).
    %(link)s
    cut
        For one score column: a sum above it means the second label.
    refuses_overflow
        The classifier refuses values that float32 cannot hold, of any of the model's genes.
    """

    def __init__(
        self,
        trees: TreeEnsemble,
        X: np.ndarray,
        columns: np.ndarray,
        n_genes: int,
        labels: Sequence[str],
        *,
        link: Callable[[np.ndarray], np.ndarray] | None = None,
        cut: float = 0.0,
        refuses_overflow: bool = False,
    ) -> None:
        self._refuses_overflow = refuses_overflow
        self._trees = trees
        self._cut = cut
        self._nodes = trees.nodes
        self._link = link
        self._ballot = Ballot(labels)
        self._binary = trees.value.shape[1] == 1
        self._place = positions_among(columns, n_genes)
        self._n_features = len(columns)
        self._doubt = trees.rounding
        genes, index = np.arange(self._n_features + 1), trees.index
        self._uses = np.searchsorted(index.pairs, genes * len(trees.roots)), index.pairs % len(trees.roots)
        self._tests = np.searchsorted(index.gene, genes), index.node, index.tree
        self._last = trees.last_below
        self._X = self._compared(X)
        self._leaf = walk_all(self._nodes, trees.roots, self._X)
        self._shared = False
        self._asked: tuple[Answer, _Moved] | None = None  # the last answer, and what it was made of
        self._settle(sum_leaves(trees.value, trees.bias, self._leaf))

    def _compared(self, X: np.ndarray) -> np.ndarray:
        """Return values as the trees compare them, in the smallest type that holds them."""
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(X, dtype=np.float32 if self._trees.single else np.float64)

    def _settle(self, sums: np.ndarray) -> None:
        self._sums = sums
        self._codes = self._decide(sums)
        self._counts = self._ballot.count(self._codes)
        self._baseline = self._ballot.answer(self._codes, self._report(sums))

    def _decide(self, sums: np.ndarray) -> np.ndarray:
        return (sums[:, 0] > self._cut).astype(np.int64) if self._binary else np.argmax(sums, axis=1)

    def _report(self, sums: np.ndarray) -> np.ndarray:
        return sums if self._link is None else self._link(sums)

    def reads(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        # where the data can hold values that are refused, every gene of the model can lead to that
        return self._place[genes] >= 0 if self._refuses_overflow else self._tests_any(genes)

    def _tests_any(self, genes: np.ndarray) -> np.ndarray:
        """Return which genes some node tests."""
        features = self._place[genes]
        starts = self._uses[0]
        tests: np.ndarray = (features >= 0) & (starts[features + 1] > starts[features])
        return tests

    def _refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return for each gene whether the classifier refuses its new values."""
        if not self._refuses_overflow:
            return np.zeros(len(genes), dtype=bool)
        refused: np.ndarray = (self._place[genes] >= 0) & ~np.isfinite(self._compared(values)).all(axis=0)
        return refused

    def _known(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which genes are read, where they stand in the model, and their values per cell as compared."""
        known = np.flatnonzero(self._tests_any(genes))
        return known, self._place[genes[known]], _for_each_cell(self._compared(values[:, known]), len(self._X))

    def _column(self, features: np.ndarray) -> np.ndarray:
        """Return where each of the model's genes stands among the changed ones, -1 for the others."""
        return positions_among(features, self._n_features)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        known, features, new = self._known(genes, values)
        counts = np.tile(self._counts, (len(genes), 1))
        again = self._testing(features)
        tests = self._few_tests(features, again)
        first = np.searchsorted(tests[1], np.arange(len(again) + 1))
        last = np.empty(0, dtype=np.int64) if self._last is None else self._last
        trees = _Trees(self._nodes, self._trees.roots[again], self._trees.value, tests[0], first, last)
        leaf = self._leaf if len(again) == self._leaf.shape[1] else np.take(self._leaf, again, axis=1)
        cells = _Cells(self._X, leaf, self._sums, self._codes)
        lead, lead_weights = self._lead()
        rule = _Rule(self._binary, self._cut, self._doubt, lead_weights)
        found = _Found.of(len(known), len(self._ballot.labels))
        _count_each(trees, cells, self._column(features), new, rule, found, _Room.of(len(known), self._sums.shape[1]))
        change, unclear, lost = found
        counts[known] += change
        for k in known[unclear]:
            counts[k] = self._ballot.count(self._decide(self._moved(genes[[k]], values[:, [k]]).sums))
        label, share = self._ballot.winners(counts)
        refused = self._refused(genes, values)
        if refused.any():
            label = np.where(refused, self._baseline.label, label)
            share = np.where(refused, 0.0, share)
        taken = None
        if lead is not None:
            taken = np.zeros(len(genes))
            with np.errstate(over="ignore"):  # of a lead next to nothing
                taken[known] = lost / (len(self._X) * lead.gap)
        return Answers(label, share, refused, taken)

    def _lead(self) -> tuple[Lead | None, np.ndarray]:
        """Return the lead of the cluster's label, and what each sum counts for it, shape (scores,)."""
        sums = np.hstack([np.full_like(self._sums, self._cut), self._sums]) if self._binary else self._sums
        lead = lead_of(sums, int(np.flatnonzero(self._ballot.labels == self._baseline.label)[0]))
        if lead is None:
            return None, np.zeros(self._sums.shape[1])
        lead_weights = lead.weights(sums.shape[1])
        return lead, lead_weights[1:] if self._binary else lead_weights

    def _testing(self, features: np.ndarray) -> np.ndarray:
        """Return the trees that test any of some genes, ascending."""
        starts, users = self._uses
        found = np.zeros(len(self._trees.roots), dtype=bool)
        found[users[_spans(starts, features)]] = True
        return np.flatnonzero(found)

    def _few_tests(self, features: np.ndarray, again: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the nodes that test any of some genes, tree by tree, a node before those below it; and their trees.

        The trees are positions in `again`. Where the nodes are many, none is returned.
        """
        first, nodes, owner = self._tests
        tested = _spans(first, features)
        if self._last is None or len(tested) >= _FEW * len(again):
            tested = tested[:0]
        at, tree = nodes[tested], np.searchsorted(again, owner[tested])
        order = np.lexsort((at, tree))
        return at[order], tree[order]

    def _moved(self, genes: np.ndarray, values: np.ndarray) -> _Moved:
        _, features, new = self._known(genes, values)
        again, trees = self._testing(features), self._trees
        tests = self._few_tests(features, again)
        if self._last is not None and len(tests[0]):
            column, reached = self._column(features), np.empty((len(new), len(again)), dtype=np.int64)
            turn(self._nodes, self._last, *tests, again, self._leaf, self._X, column, new, reached)
        else:
            reached = walk_again(self._nodes, trees.roots[again], self._X, features, new)
        whole = self._doubt < 0  # then leaves may be taken off and added on without any rounding
        sums, place = self._sums.copy(), positions_among(again, len(trees.roots))
        sum_again(trees.value, trees.bias, self._leaf, sums, again, reached, whole, place)
        return _Moved(again, reached, sums)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        refused = self._refused(genes, values)
        if refused.any():
            return Answer(self._baseline.label, 0.0, rejected=True, reason=_refusal(refused))
        moved = self._moved(genes, values)
        answer = self._ballot.answer(self._decide(moved.sums), self._report(moved.sums))
        self._asked = answer, moved
        return answer

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed:  # noqa: D102
        changes = Pairs(cells, self._place[genes], self._compared(values))
        sums = sums_of_pairs(self._trees, Standing(self._X, self._leaf, self._sums), changes)
        return Changed(self._ballot.labels, self._decide(sums), self._report(sums))

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        refused = self._refused(genes, values)
        if refused.any():
            raise InputRejected(_refusal(refused))
        self._go(genes, values, self._moved(genes, values))

    def accept_known(self, genes: np.ndarray, values: np.ndarray, answer: Answer) -> None:  # noqa: D102
        if self._asked is not None and self._asked[0] is answer:  # to this very query, of this state
            self._go(genes, values, self._asked[1])
        else:
            self.accept(genes, values)

    def _go(self, genes: np.ndarray, values: np.ndarray, moved: _Moved) -> None:
        if self._shared:  # with a fork: from here on each has its own
            self._X, self._leaf, self._shared = self._X.copy(), self._leaf.copy(), False
        _, features, new = self._known(genes, values)
        self._X[:, features] = new
        self._leaf[:, moved.again] = moved.reached
        self._asked = None
        self._settle(moved.sums)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Nothing is refused."""
        return np.zeros(len(genes), dtype=bool)

    def sums_with(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the sums with all `genes` changed, shape (cells, scores)."""
        return self._moved(genes, values).sums

    def after(self, genes: np.ndarray, values: np.ndarray) -> Self:
        """Return a scorer whose state has `genes` changed; this one stays as it is."""
        other = self.fork()
        other.accept(genes, values)
        return other

    def part(self, cells: np.ndarray) -> Self:
        """Return a scorer of some of the cells."""
        other = self.fork()
        other._X, other._leaf, other._asked = self._X[cells], self._leaf[cells], None
        other._settle(self._sums[cells])
        return other

    def moves(self, genes: np.ndarray, values: np.ndarray) -> TreeMoves:  # noqa: D102
        # genes that no tree tests keep their place among the others, by which they are counted
        features = np.where(self._tests_any(genes), self._place[genes], -1)
        new = _for_each_cell(self._compared(values), len(self._X))
        found = TreeMoves(self._trees, self, genes, values, self._column(features), new)
        found.labels = self._ballot.labels[: found.scores.shape[1]]
        return found

    def fork(self) -> Self:  # noqa: D102
        self._shared = True
        return super().fork()


def _refusal(refused: np.ndarray) -> str:
    return f"the values of {int(refused.sum()):,} genes are larger than a float32 can hold, in which the trees compare"


def _for_each_cell(values: np.ndarray, n_cells: int) -> np.ndarray:
    """Return one row for each cell, writable: of what is not, each loop would be compiled once more."""
    if len(values) == n_cells and values.flags.writeable:
        return values
    return np.array(np.broadcast_to(values, (n_cells, values.shape[1])), order="C")


def _spans(starts: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return the positions from ``starts[p]`` to before ``starts[p + 1]`` for each of the features p, end to end."""
    lengths = starts[features + 1] - starts[features]
    ends = np.cumsum(lengths)
    spans: np.ndarray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts[features] - ends + lengths, lengths)
    return spans


#: nodes to look at per tree, up to which this costs less than walking the trees from their roots
_FEW = 20


@compiled
def _best(sums: np.ndarray, binary: bool, cut: float) -> tuple[int, float]:
    """Return the best label, and by how much it is ahead."""
    if binary:
        return (1 if sums[0] > cut else 0), abs(sums[0])
    best = 0
    ahead = np.inf
    for k in range(1, len(sums)):
        if sums[k] > sums[best]:
            ahead = sums[k] - sums[best]
            best = k
        else:
            ahead = min(ahead, sums[best] - sums[k])
    return best, ahead


class _Trees(NamedTuple):
    """An ensemble, as compiled code takes it."""

    nodes: np.ndarray
    roots: np.ndarray
    value: np.ndarray
    tested: np.ndarray  # the nodes to look at, tree by tree; none: all on the way
    first: np.ndarray  # where those of each tree begin
    last: np.ndarray  # the last node below each node


class _Cells(NamedTuple):
    """The cells as they stand: values, the leaf in each tree, sums and labels."""

    X: np.ndarray
    leaf: np.ndarray
    sums: np.ndarray
    codes: np.ndarray


class _Found(NamedTuple):
    """What :func:`_count_each` finds of each gene, zeros at first."""

    change: np.ndarray  # of the votes, shape (genes, labels)
    unclear: np.ndarray  # rounding decides
    lost: np.ndarray  # what all cells lose of the sums, weighted by the rule's `lead_weights`

    @classmethod
    def of(cls, n_genes: int, n_labels: int) -> Self:
        return cls(np.zeros((n_genes, n_labels), dtype=np.int64), np.zeros(n_genes, dtype=bool), np.zeros(n_genes))


class _Room(NamedTuple):
    """Arrays to work in: made outside, since what makes them would be compiled first, for as long as all else."""

    delta: np.ndarray
    touched: np.ndarray
    is_touched: np.ndarray
    turned: np.ndarray  # tree in which the gene has turned this cell's path already
    row: np.ndarray

    @classmethod
    def of(cls, n_genes: int, n_scores: int) -> Self:
        turned = np.full(n_genes, -1)
        return cls(
            np.zeros((n_genes, n_scores)), np.empty_like(turned), np.zeros(n_genes, bool), turned, np.empty(n_scores)
        )


class _Rule(NamedTuple):
    """How sums become a label, and the distance of the best two at which rounding may decide."""

    binary: bool
    cut: float
    doubt: float
    lead_weights: np.ndarray  # what each sum counts for the lead of the cluster's label


@compiled
def _count_each(
    trees: _Trees, cells: _Cells, column: np.ndarray, new: np.ndarray, rule: _Rule, found: _Found, room: _Room
) -> None:
    """Find how the votes change when each gene is changed alone, and where rounding decides.

    `column` gives a gene's place in `new`, or -1. Every path is walked once, or only the few nodes are looked at that
    test a gene; where a tested gene would send the cell the other way, the walk goes on from there with the gene's new
    value, and the difference of the two leaves is noted for that gene.
    """
    nodes, roots, value, tested, first, last = trees
    X, leaf, sums, codes = cells
    change, unclear, lost = found
    delta, touched, is_touched, turned, row = room
    n_scores = value.shape[1]
    for c in range(len(X)):
        n_touched = 0
        for t in range(len(roots)):
            at, i, mark = roots[t], first[t], c * len(roots) + t
            while True:
                if len(tested):  # the next one that is on the way, which ends at the cell's leaf
                    while i < first[t + 1] and not (tested[i] <= leaf[c, t] <= last[tested[i]]):
                        i += 1
                    if i == first[t + 1]:
                        break
                    at = tested[i]
                    i += 1
                node = nodes[at]
                if node.feature < 0:
                    break
                gene = node.feature
                goes_left = X[c, gene] <= node.threshold
                j = column[gene]
                if j >= 0 and turned[j] != mark and (new[c, j] <= node.threshold) != goes_left:
                    turned[j] = mark
                    to = walk_with(nodes, node.right if goes_left else node.left, X[c], gene, new[c, j])
                    if not is_touched[j]:
                        is_touched[j] = True
                        touched[n_touched] = j
                        n_touched += 1
                    for k in range(n_scores):
                        delta[j, k] += value[to, k] - value[leaf[c, t], k]
                at = node.left if goes_left else node.right
        for i in range(n_touched):
            j = touched[i]
            for k in range(n_scores):
                row[k] = sums[c, k] + delta[j, k]
                lost[j] -= delta[j, k] * rule.lead_weights[k]
                delta[j, k] = 0.0
            is_touched[j] = False
            best, ahead = _best(row, rule.binary, rule.cut)
            if ahead <= rule.doubt:
                unclear[j] = True
            if best != codes[c]:
                change[j, codes[c]] -= 1
                change[j, best] += 1
