"""The scorer of networks that start with a linear layer.

It keeps the first layer's sums for the cluster's cells. A changed gene adds one multiple of its own row of weights to
them, and only the layers above run again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from scipy.linalg.blas import dger

from adverscarial._docs import documented
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among, values_now
from adverscarial.classifiers.answers import Answer, Answers, Ballot
from adverscarial.classifiers.scorers.base import Changed, StatefulScorer
from adverscarial.classifiers.scorers.dense_layers import Upper, moved
from adverscarial.classifiers.scorers.lead import lead_of
from adverscarial.classifiers.scorers.linear import Transform
from adverscarial.classifiers.scorers.linear_sums import stretches
from adverscarial.classifiers.scorers.relu_moves import ReluMoves
from adverscarial.classifiers.scorers.usual_values import UsualValues, usual_values
from adverscarial.errors import ParameterError

_GENES = 256  # genes whose changes are written out at a time
_LEADS = 2048  # genes whose shares of the lead are computed at a time
_BATCH = 2**20  # bytes of first-layer sums per batch: a batch stays in the processor's cache
_HEAVY = 1e4  # taking a value above this out of a sum may leave rounding residue, so the sum is made anew
_OUTWEIGHS = 100  # unless all else that is added up is no smaller than what is taken out, divided by this
_MANY = 4  # one in so many genes, from which on the values of all cells are copied when they are changed
_ALIKE = 4  # cells that a gene may turn, beyond which it pays to ask whether it makes all cells alike


def check_weights(weights: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise a ParameterError unless there is one weight per cell and class."""
    if np.shape(weights) != shape:
        raise ParameterError(f"gradient: weights have shape {np.shape(weights)}, expected (cells, classes) = {shape}.")


@documented
class FirstLayerScorer(StatefulScorer):
    """State: the first layer's input sums of the cluster's cells, float64, and the genes changed so far.

    New values are first rounded to the number type of the data, as they would be in a changed data set.

    Parameters
    ----------
    %(cluster)s
    columns
        Where each of the classifier's genes stands in the data set.
    W, b
        First layer, shapes (classifier's genes, units) and (units,).
    classes
        Names of the classes.
    transform
        What happens to each gene before the first layer, called with the positions of genes in the classifier and
        their values; nothing when left out.
    """

    def __init__(
        self, cluster: Cluster, columns: np.ndarray, W: np.ndarray, b: np.ndarray, classes: Sequence[str],
        *, transform: Transform | None = None,
    ) -> None:  # fmt: skip
        self._X, self._columns, self._W, self._b = cluster.X, columns, W, b
        self._dtype, self._transform = cluster.X.dtype, transform
        if transform is not None:
            self._X = cluster.X.astype(np.float64)
            self._X[:, columns] = transform(np.arange(len(columns)), self._X[:, columns])
        self._given, self._usual = self._X, list[UsualValues | None]()  # the latter is made once, for all forks
        self._as_given = np.ones(len(cluster.genes), dtype=bool)
        self._row = positions_among(np.where(W.any(axis=1), columns, -1), len(cluster.genes))
        self._size = np.linalg.norm(W, axis=1)
        self._ballot = Ballot(classes)
        self._changed: dict[int, np.ndarray] = {}  # gene -> its accepted values
        sums = self._sums(np.empty(0, dtype=np.int64))
        self._settle(sums, self._scores(sums))

    @abstractmethod
    def _scores(self, sums: np.ndarray) -> np.ndarray:
        """Return the classifier's scores from the first layer's input sums; the best, first one is the label."""

    def _settle(self, sums: np.ndarray, scores: np.ndarray) -> None:
        """Make `sums` the state. Arrays of the state are replaced, never written into, so forks may share them."""
        self._A, self._now_scores = sums, scores
        self._asked: tuple[np.ndarray, ...] | None = None  # last query: genes, values, sums, scores
        self._no_moves: ReluMoves | None = None  # of no gene at all; made when needed
        self._all_terms: np.ndarray | None = None  # what is added up for each cell, whatever cancels; made when needed
        self._codes = np.argmax(scores, axis=1)
        self._baseline = self._ballot.answer(self._codes, scores)

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Genes that the network was not trained on, or with weights of zero only, change nothing."""
        reads: np.ndarray = self._row[genes] >= 0
        return reads

    def _now(self, genes: np.ndarray, cells: slice = slice(None)) -> np.ndarray:
        """Return the values of `genes` as they stand, float64, shape (cells, len(genes))."""
        return values_now(self._X, self._changed, genes, cells)

    def _read(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return new values as the first layer gets them, of genes that it reads; shapes as numpy broadcasts them."""
        rounded: np.ndarray = values.astype(self._dtype, copy=False).astype(np.float64)
        return rounded if self._transform is None else self._transform(self._row[genes], rounded)

    def _sums(self, without: np.ndarray) -> np.ndarray:
        """Return the first layer's input sums from all genes but `without`, from scratch."""
        sums = np.tile(self._b, (len(self._X), 1))
        left = self._columns[self._row[self._columns] >= 0]
        left = left[~np.isin(left, without)]
        for start in range(0, len(left), _GENES):
            block = left[start : start + _GENES]
            weights = self._W[self._row[block]]
            for cells in stretches(len(sums)):
                sums[cells] += self._now(block, cells) @ weights
        return sums

    def _moved(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums with all `genes` (each read) at `values`, and which cells that changes."""
        sums, heavy, moving = self._A, False, np.zeros(len(self._A), dtype=bool)
        for start in range(0, len(genes), _GENES):
            block = genes[start : start + _GENES]
            old = self._now(block)
            heavy = heavy or bool(np.abs(old).max() > _HEAVY)
            changes = self._read(block, values[:, start : start + _GENES]) - old
            moving |= changes.any(axis=1)
            if len(block) == 1:  # one outer product, added in place of a copy
                sums = dger(1.0, self._W[self._row[block[0]]], changes[:, 0], a=sums.T).T
            else:
                sums = sums + changes @ self._W[self._row[block]]
        if heavy:
            sums = self._sums(genes)
            for start in range(0, len(genes), _GENES):
                block = genes[start : start + _GENES]
                sums += self._read(block, values[:, start : start + _GENES]) @ self._W[self._row[block]]
        return sums, moving

    def _outcome(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sums and scores with all `genes` (each read) at `values`.

        Only cells that stand neither as they do now nor as they did in the last query go through the upper layers.
        """
        again = self._asked is not None and np.array_equal(genes, self._asked[0])
        if again and self._asked is not None and np.array_equal(values, self._asked[1]):
            return self._asked[2], self._asked[3]
        sums, todo = self._moved(genes, values)
        scores = self._now_scores
        if again and self._asked is not None:
            same = (values == self._asked[1]).all(axis=1)
            scores = np.where(same[:, None], self._asked[3], scores)
            todo &= ~same
        if todo.all():
            return sums, self._scores(sums)
        scores = scores.copy()
        if todo.any():
            scores[todo] = self._scores(sums[todo])
        return sums, scores

    def _known(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the genes that are read, and their values as the data hold them; no copy of what nobody changes."""
        read = self.reads(genes)
        if not read.all():
            genes, values = genes[read], values[:, read]
        return genes, values.astype(self._dtype, copy=values.flags.writeable)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        genes, values = self._known(genes, values)
        sums, scores = self._outcome(genes, values)
        self._asked = genes, values, sums, scores
        return self._ballot.answer(np.argmax(scores, axis=1), scores)

    def pairs(self, cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Changed:  # noqa: D102
        old, values = self._X[cells, genes].astype(np.float64), self._read(genes, values)
        for gene, accepted in self._changed.items():
            old = np.where(genes == gene, np.broadcast_to(accepted, len(self._X))[cells], old)
        rows, size = self._row[genes], max(1, _BATCH // (8 * self._W.shape[1]))
        parts = []
        for start in range(0, len(cells), size):
            part = slice(start, start + size)
            sums = moved(self._A, cells[part], self._W, rows[part], values[part] - old[part])
            for k in np.flatnonzero(np.abs(old[part]) > _HEAVY) + start:
                rest = self._sums(genes[[k]])[cells[k]]
                sums[k - start] = rest + values[k] * self._W[rows[k]]
            parts.append(self._scores(sums))
        scores = np.concatenate(parts) if parts else np.empty((0, len(self._ballot.labels)))
        return Changed(self._ballot.labels, np.argmax(scores, axis=1), scores)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        genes, values = self._known(genes, values)
        sums, scores = self._outcome(genes, values)
        self._as_given = self._as_given.copy()
        self._as_given[genes] = False
        if _MANY * len(genes) > len(self._row):  # a copy is read faster than one array for each gene
            self._X = self._X.copy()
            for start in range(0, len(genes), _GENES):
                block = genes[start : start + _GENES]
                self._X[:, block] = self._read(block, values[:, start : start + _GENES])
            done = set(genes.tolist())
            self._changed = {gene: one for gene, one in self._changed.items() if gene not in done}
        else:
            new = self._read(genes, values)
            self._changed = self._changed | {int(gene): new[:, k] for k, gene in enumerate(genes)}
        self._settle(sums, scores)

    def refused(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Nothing is refused."""
        return np.zeros(len(genes), dtype=bool)

    def _upper_layers(self) -> Upper | None:
        """Return the layers above the first one, where these are dense with ReLU between, and how they round."""
        return None

    def _added_up(self, rows: np.ndarray, steps: np.ndarray, upper: Upper) -> list[np.ndarray] | None:
        """Return how much is added up for the first sums with any genes changed, and for the biases above them."""
        if upper.terms is None or upper.bend is None:
            return None
        terms = np.abs(steps) @ np.abs(self._W[rows]) + np.abs(self._b)
        read = self._columns[self._row[self._columns] >= 0]
        for start in range(0, len(read), _GENES):
            block = read[start : start + _GENES]
            terms += np.abs(self._now(block)) @ np.abs(self._W[self._row[block]])
        return [terms * np.abs(upper.bend.scale) + upper.bend.terms, *upper.terms]

    def moves(self, genes: np.ndarray, values: np.ndarray) -> ReluMoves | None:  # noqa: D102
        upper = self._upper_layers()
        if upper is None:
            return None
        read = self.reads(genes)
        genes, values = (genes, values) if read.all() else (genes[read], values[:, read])
        rows, steps, sums = self._row[genes], np.empty((len(self._X), len(genes))), self._A
        for start in range(0, len(genes), _GENES):  # no copies of all
            part = slice(start, start + _GENES)
            steps[:, part] = self._read(genes[part], values[:, part]) - self._now(genes[part])
        first, terms = self._weights(rows), self._added_up(rows, steps, upper)
        if upper.bend is not None:
            sums, first = sums * upper.bend.scale + upper.bend.shift, first * upper.bend.scale
        found = ReluMoves(
            sums, steps, first, upper.layers, self._codes, tolerance=upper.tolerance, margin=upper.margin, terms=terms
        )
        found.labels = self._ballot.labels
        return found

    def _unmoved(self, changes: np.ndarray, rows: np.ndarray, cells: slice = slice(None)) -> np.ndarray:
        """Return which changes, shape (cells, genes), are proven to leave the cell's label alone."""
        unmoved: np.ndarray = changes == 0
        return unmoved

    def _alike(self, changes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return for each change of one gene the code that all cells are proven to get, -1 where none is proven."""
        return np.full(len(rows), -1)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
        """Return one answer per gene; only cells whose label may change go through the upper layers."""
        votes = np.tile(self._ballot.count(self._codes), (len(genes), 1))
        todo = np.flatnonzero(self.reads(genes))
        for start in range(0, len(todo), _GENES):
            block = todo[start : start + _GENES]
            heavy = np.zeros(len(block), dtype=bool)
            for cells in stretches(len(self._X)):
                some = values[:, block] if len(values) == 1 else values[cells, block]
                votes[block] += self._votes_moved(genes[block], some, cells, heavy)
            for k in block[heavy]:
                sums, _ = self._moved(genes[[k]], values[:, [k]])
                votes[k] = self._ballot.count(np.argmax(self._scores(sums), axis=1))
        label, share = self._ballot.winners(votes) if len(genes) else (np.empty(0, dtype=str), np.empty(0))
        return Answers(label, share, np.zeros(len(genes), dtype=bool), self._lead_taken(genes, values))

    def _votes_moved(self, genes: np.ndarray, values: np.ndarray, cells: slice, heavy: np.ndarray) -> np.ndarray:
        """Return what each gene (read), changed alone, does to the votes of some cells, shape (genes, labels).

        `heavy` is set for genes whose sums must be made anew.
        """
        rows, old, codes = self._row[genes], self._now(genes, cells), self._codes[cells]
        changes = self._read(genes, values) - old
        heavy |= self._outweighs(old, rows, cells)
        asked = ~self._unmoved(changes, rows, cells).T & ~heavy[:, None]
        many = np.flatnonzero(asked.sum(axis=1) > _ALIKE)
        alike = self._alike(changes[:, many], rows[many])
        proven, code = many[alike >= 0], alike[alike >= 0]
        before = self._ballot.count(codes)
        votes = np.zeros((len(genes), len(before)), dtype=before.dtype)
        votes[proven] = len(codes) * (np.arange(len(before)) == code[:, None]) - before
        asked[proven] = False
        which, turned = np.nonzero(asked)
        pairs = max(1, _BATCH // (8 * self._W.shape[1]))
        for first in range(0, len(which), pairs):
            g, c = which[first : first + pairs], turned[first : first + pairs]
            sums = moved(self._A[cells], c, self._W, rows[g], changes[c, g])
            now = np.argmax(self._scores(sums), axis=1)
            flips = now != codes[c]
            np.add.at(votes, (g[flips], now[flips]), 1)
            np.subtract.at(votes, (g[flips], codes[c[flips]]), 1)
        return votes

    def _outweighs(self, old: np.ndarray, rows: np.ndarray, cells: slice) -> np.ndarray:
        """Return for which genes, alone, taking out the value leaves residue in some cell: it outweighs all others.

        Where many values are huge, as after an aberrant change of all genes, none does.
        """
        huge = np.abs(old) > _HEAVY
        if not huge.any():
            return np.zeros(len(rows), dtype=bool)
        if self._all_terms is None:
            largest, self._all_terms = np.abs(self._W).max(axis=1), np.full(len(self._X), np.abs(self._b).max())
            read = self._columns[self._row[self._columns] >= 0]
            for start in range(0, len(read), _GENES):
                block = read[start : start + _GENES]
                self._all_terms += np.abs(self._now(block)) @ largest[self._row[block]]
        terms = np.abs(old) * np.abs(self._W[rows]).max(axis=1)
        rest = self._all_terms[cells, None] - terms
        outweighs: np.ndarray = (huge & (terms > _OUTWEIGHS * rest)).any(axis=0)
        return outweighs

    def _lead_taken(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray | None:
        """Return the share of the lead that each gene takes, by the gradient: to first order."""
        read, taken = self.reads(genes), np.zeros(len(genes))
        own = int(np.argmax(self._ballot.labels == self.baseline.label))
        if read.any() and self._no_moves is None:
            self._no_moves = self.moves(genes[:0], values[:, :0])
        moves = self._no_moves if read.any() else None
        lead = None if moves is None else lead_of(moves.scores, own)
        if moves is None or lead is None:
            return None
        weights = np.tile(lead.weights(moves.scores.shape[1]) / len(moves.scores), (len(moves.scores), 1))
        some = np.flatnonzero(read)
        for start in range(0, len(some), _LEADS):
            part = some[start : start + _LEADS]
            taken[part] = -self._effects(moves, weights, genes[part], values[:, part]) / lead.gap
        return taken

    def _effects(self, moves: ReluMoves, weights: np.ndarray, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return what each gene alone does to the weighted scores of `moves`, which has no genes, to first order."""
        found, usual = np.empty(len(genes)), self._usual_values() if len(values) == 1 else None
        quick = np.zeros(len(genes), dtype=bool) if usual is None else self._as_given[genes]
        if usual is not None and quick.any():
            upper, some = self._upper_layers(), genes[quick]
            back = moves.gradient(weights)
            if upper is not None and upper.bend is not None:
                back = back * upper.bend.scale
            steps = usual.steps_to(some, self._read(some, values[:, quick])[0])
            found[quick] = steps.weighted(back, self._weights(self._row[some]))
        if not quick.all() and (others := self.moves(genes[~quick], values[:, ~quick])) is not None:
            found[~quick] = others.effects(weights)
        return found

    def _usual_values(self) -> UsualValues | None:
        """Return the cells' values as they were given, in a form in which one new value for all is quick to judge."""
        if not self._usual:
            self._usual.append(usual_values(self._given))
        return self._usual[0]

    def _weights(self, rows: np.ndarray) -> np.ndarray:
        """Return the first layer's weights of some of the classifier's genes; no copy where it is all of them."""
        return self._W if np.array_equal(rows, np.arange(len(self._W))) else self._W[rows]
