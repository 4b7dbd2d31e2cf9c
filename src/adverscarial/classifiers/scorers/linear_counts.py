"""Counts behind log-normalisation, where the classifier inside is nothing but weighted sums of genes.

No normalised cell is held: its sums are those of its genes that are not 0. A gene that is not read moves the library
size alone, so its answers are those of the normalised cells themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from adverscarial._compiled import compiled
from adverscarial._types import Floats, Ints
from adverscarial.classifiers.scorers.base import Changed
from adverscarial.classifiers.scorers.bisection import first_at_least
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.classifiers.scorers.linear_sums import in_doubt, summed_in_place

#: normalised cells that are summed anew at a time
_TOGETHER = 1024


class Weighed(NamedTuple):
    """The sums of a classifier: ``values @ weights + bias``; `report` turns them into its scores."""

    weights: Floats
    bias: Floats
    labels: np.ndarray
    report: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of(cls, scorer: object) -> Weighed | None:
        """Return the sums of a scorer of its own genes; None where something else than weights makes them."""
        found = scorer.weighed() if isinstance(scorer, LinearScorer) else None
        if found is None or found[1].shape[1] < 2:
            return None
        assert isinstance(scorer, LinearScorer)
        genes, weights, bias = found
        if not np.array_equal(genes, np.arange(len(weights))):
            return None
        return cls(weights, bias, np.asarray(scorer.labels, dtype=str), scorer.report)


class Libraries(NamedTuple):
    """The library sizes that each of some cells is normalised for, those of one cell behind those of the other."""

    #: how many counts are added, ascending for each cell
    added: Ints
    #: where those of each cell begin, and where the last ones end
    starts: Ints
    #: what each count is multiplied by, one for each size
    factor: Floats


class Portion(NamedTuple):
    """Some cells, each normalised for every library size that it is to have."""

    #: cells x genes that are read, sparse, float64
    counts: sp.csr_array
    libraries: Libraries
    #: where these cells stand in the cluster, and what :func:`summed_in_place` wants to know of that
    cells: Ints
    like: Floats


class _Standing(NamedTuple):
    """Which label wins in each of some cells, and by how much it leads."""

    codes: Ints
    lead: Floats


class _ReadGenes(NamedTuple):
    """Genes that are read: among those asked about, among those of the classifier, and what those weigh."""

    asked: Ints
    known: Ints
    weights: Floats
    steepest: Floats


class _Sums(NamedTuple):
    """Sums of cells, (cells, labels), and how large a number they are the rounded outcome of."""

    sums: Floats
    size: Floats


class _Pairs(NamedTuple):
    """Pairs of a cell and a gene that changes in it: the row of the normalised cell, and the sums after the change."""

    cell: Ints
    gene: Ints
    at: Ints
    after: _Sums


class Scan:
    """The sums of a portion, and what becomes of them when one gene changes on top."""

    def __init__(self, model: Weighed, portion: Portion) -> None:
        self._model, self._portion = model, portion
        row = np.repeat(np.arange(portion.counts.shape[0]), np.diff(portion.libraries.starts))
        self._logs = portion.counts[row]
        self._logs.data = np.log1p(self._logs.data * np.repeat(portion.libraries.factor, np.diff(self._logs.indptr)))
        self._sums = self._logs @ model.weights + model.bias
        self._size = (self._logs @ np.abs(model.weights) + np.abs(model.bias)).max(axis=1)
        unsure = np.flatnonzero(in_doubt(self._sums, self._size))
        self._sums[unsure] = self._anew(unsure, np.full(len(unsure), -1), np.zeros(len(unsure)))
        self.codes = self._sums.argmax(axis=1)

    @property
    def scores(self) -> np.ndarray:
        """The scores of the normalised cells."""
        return self._model.report(self._sums)

    def _anew(self, rows: Ints, genes: Ints, values: Floats) -> Floats:
        """Return the sums of normalised cells as a full prediction gives them; a gene of each changed, or none (-1)."""
        sums, p = np.empty((len(rows), self._model.weights.shape[1])), self._portion
        cells = p.cells[np.searchsorted(p.libraries.starts, rows, side="right") - 1]
        for start in range(0, len(rows), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            Z, own, changed = self._logs[rows[part]].toarray(), np.arange(len(rows[part])), genes[part] >= 0
            Z[own[changed], genes[part][changed]] = values[part][changed]
            sums[part] = summed_in_place(cells[part], Z, p.like, self._model.weights, self._model.bias)
        return sums

    def unread(
        self, added: Ints, genes: Ints, gaps: Floats | None, own: Ints, own_gaps: Floats | None
    ) -> tuple[Ints, Floats]:
        """Return the votes that each gene moves, (labels, genes), and what it adds to the lead: genes not read.

        Parameters
        ----------
        added
            Counts added, cells x all genes that are asked about.
        genes
            Which of them are not read.
        gaps, own_gaps
            Leads of the normalised cells, and of the cells as they are; None where nobody asks.
        own
            Label of each cell as it is.
        """
        moved = np.zeros((len(self._model.labels), added.shape[1]), dtype=np.int64)
        change = np.zeros(added.shape[1])
        after = _Standing(self.codes, np.zeros(len(self.codes)) if gaps is None else gaps)
        before = _Standing(own, np.zeros(len(own)) if own_gaps is None else own_gaps)
        _vote_unread(added, self._portion.libraries, genes, before, after, moved, change)
        return moved, change

    def read(self, added: Ints, new: Floats, genes: Ints, known: Ints) -> tuple[Ints, Ints, Changed]:
        """Return cells, genes and what becomes of them, for every pair in which a gene that is read changes.

        Parameters
        ----------
        added, new
            Counts added, and new counts, cells x all genes that are asked about.
        genes, known
            Which of them are read, and where they stand among the genes of the classifier.
        """
        libraries, model = self._portion.libraries, self._model
        n = int(np.count_nonzero(added[:, genes]))
        cell, gene, at = (np.empty(n, dtype=np.int64) for _ in range(3))
        sums, size = np.empty((n, len(model.labels))), np.empty(n)
        read = _ReadGenes(genes, known, model.weights, np.abs(model.weights).max(axis=1))
        pairs = _Pairs(cell, gene, at, _Sums(sums, size))
        _sum_read(added, new, libraries, read, _Sums(self._sums, self._size), pairs)
        column = np.full(added.shape[1], -1)
        column[genes] = known
        unsure = np.flatnonzero(in_doubt(sums, size))
        # compiled code may round a logarithm otherwise than numpy does for the classifier
        exact = np.log1p(new[cell[unsure], gene[unsure]] * libraries.factor[at[unsure]])
        sums[unsure] = self._anew(at[unsure], column[gene[unsure]], exact)
        return cell, gene, Changed(model.labels, sums.argmax(axis=1), model.report(sums))


@compiled
def _vote_unread(
    added: np.ndarray, libraries: Libraries, genes: np.ndarray, before: _Standing, after: _Standing, moved: np.ndarray,
    change: np.ndarray,
) -> None:  # fmt: skip
    for c in range(len(added)):
        own = before.codes[c]
        for g in genes:
            if added[c, g] == 0:
                continue
            row = first_at_least(libraries.added, libraries.starts[c], libraries.starts[c + 1], added[c, g])
            if after.codes[row] != own:
                moved[after.codes[row], g] += 1
                moved[own, g] -= 1
            change[g] += after.lead[row] - before.lead[c]


@compiled
def _sum_read(
    added: np.ndarray, new: np.ndarray, libraries: Libraries, read: _ReadGenes, rows: _Sums, pairs: _Pairs
) -> None:
    weights, sums, n = read.weights, pairs.after.sums, 0
    for c in range(len(added)):
        for j in range(len(read.asked)):
            g, known = read.asked[j], read.known[j]
            more = added[c, g]
            if more == 0:
                continue
            row = first_at_least(libraries.added, libraries.starts[c], libraries.starts[c + 1], more)
            factor = libraries.factor[row]
            step = np.log1p(new[c, g] * factor) - np.log1p((new[c, g] - more) * factor)
            for k in range(weights.shape[1]):
                sums[n, k] = rows.sums[row, k] + step * weights[known, k]
            pairs.after.size[n] = rows.size[row] + abs(step) * read.steepest[known]
            pairs.cell[n], pairs.gene[n], pairs.at[n] = c, g, row
            n += 1
