"""The scorer of a classifier that stands behind log-normalisation, when counts are attacked.

A changed count moves the library size of its cell, and so all normalised values of that cell. But counts are small
whole numbers: over all genes, the library size of one cell takes few distinct values. So each cell is normalised once
for each of them, the classifier inside makes its own scorer of these cells, and that one changes one gene on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.answers import Answer, Answers, Ballot
from adverscarial.classifiers.scorers.base import Changed, Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.lead import lead_of_answer
from adverscarial.classifiers.scorers.linear_counts import Libraries, Portion, Scan, Weighed
from adverscarial.errors import ClassifierError, InputRejected

if TYPE_CHECKING:
    from adverscarial.classifiers.base import Classifier

#: bytes of normalised cells that are held at a time
_BYTES = 128 * 2**20
#: changes that are asked about at a time
_PAIRS = 1_000_000
#: normalised cells per change, above which nothing is gained
_GAIN = 0.25


@documented
class LogCountScorer(GeneralScorer):
    """State: the cluster's counts, whole numbers; every other value is classified again, in batches.

    Parameters
    ----------
    classifier
        Gets counts, bound to the genes of the data; normalises them to `total` per cell and takes the logarithm.
    inner
        What it gives the logarithms to, before it is bound to any genes.
    %(cluster)s
    total
        Counts per cell after normalisation.
    """

    def __init__(self, classifier: Classifier, inner: Classifier, cluster: Cluster, total: float) -> None:
        super().__init__(classifier, cluster)
        columns = inner.bind(cluster.genes).align(cluster.genes)
        self._read = np.unique(columns[columns >= 0])  # no other gene is held normalised
        self._there = positions_among(self._read, len(cluster.genes))
        self._inner, self._genes = inner.bind(cluster.genes[self._read]), cluster.genes[self._read]
        self._total = total
        self._whole = _are_whole(self._X)
        first = np.zeros(1, dtype=np.int64)
        try:
            one = self._normalised(first, np.zeros(1)) if self._whole else None
            self._ready = one is not None and one.answers(first, first, first) is not None
            self._weighed = None if one is None or not self._ready else one.weighed
        except (InputRejected, ClassifierError):  # one cell alone may be more than it can label
            self._ready, self._weighed = False, None
        self._known_whole = self._X  # the counts that are known to be whole

    @property
    def scans(self) -> bool:  # noqa: D102
        return self._ready

    def _normalised(self, cells: np.ndarray, added: np.ndarray) -> _Normalised:
        """Return `cells` (positions, repeated) with as many counts more, in some gene that is set afterwards."""
        factor = self._factor(cells, added)
        counts = sp.csr_array(self._X[:, self._read].astype(np.float64))
        return _Normalised(self._inner, self._genes, counts[cells], factor)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        if not self._ready or not (self._known_whole is self._X or _are_whole(self._X)):
            return super().each(genes, values)
        self._known_whole = self._X
        given = values.astype(self._X.dtype)
        new = np.broadcast_to(given, (len(self._X), len(genes)))
        quick: np.ndarray = np.asarray(_whole(given).all(axis=0))
        found = self._each_whole(genes[quick], new[:, quick]) if quick.any() else None
        if found is None:
            return super().each(genes, values)
        if quick.all():
            return found
        return _joined(quick, found, super().each(genes[~quick], values[:, ~quick]))

    def _each_whole(self, genes: np.ndarray, new: np.ndarray) -> Answers | None:
        """Return the answers for new counts, whole and not negative; None where this would gain nothing."""
        added = new.astype(np.float64) - self._X[:, genes]
        sizes = [_distinct(row) for row in added]
        if sum(map(len, sizes)) > _GAIN * np.count_nonzero(added):
            return None
        tally = _Tally(self._baseline, len(genes))
        width = max(1, _BYTES // (8 * max(1, len(self._read))))
        for cells in _portions([len(size) for size in sizes], width, max(1, _PAIRS // len(genes))):
            row = np.repeat(cells, [len(sizes[c]) for c in cells])
            if not len(row):
                continue
            if self._weighed is not None:
                self._add_weighed(
                    tally, self._weighed, cells, [sizes[c] for c in cells], genes, added[cells], new[cells]
                )
                continue
            try:
                there = self._normalised(row, np.concatenate([sizes[c] for c in cells]))
            except InputRejected:  # what of, the classifier says when it is asked about each
                return None
            where, gene = np.nonzero(added[cells])
            starts = np.cumsum([0, *(len(sizes[c]) for c in cells)])
            at = np.concatenate(
                [starts[i] + np.searchsorted(sizes[c], added[c][added[c] != 0]) for i, c in enumerate(cells)]
            )
            answers = there.answers(at, self._there[genes[gene]], new[cells[where], gene])
            if answers is None:
                return None
            tally.add(cells[where], gene, answers)
        return tally.answers()

    def _add_weighed(
        self, tally: _Tally, model: Weighed, cells: np.ndarray, sizes: list[np.ndarray], genes: np.ndarray,
        added: np.ndarray, new: np.ndarray,
    ) -> None:  # fmt: skip
        """Count what becomes of some cells, of a classifier that is nothing but weighted sums."""
        starts = np.cumsum([0, *map(len, sizes)])
        row, more = np.repeat(cells, np.diff(starts)), np.concatenate(sizes)
        counts = sp.csr_array(self._X[np.ix_(cells, self._read)].astype(np.float64))
        factor, like = self._factor(row, more), np.empty((len(self._X), 2), order="F")  # picked columns lie so
        scan = Scan(model, Portion(counts, Libraries(more.astype(np.int64), starts, factor), cells, like))
        columns, steps = self._there[genes], added.astype(np.int64)
        matters = columns >= 0
        matters[matters] = (model.weights[columns[matters]] != 0).any(axis=1)
        tally.add_unread(scan, model.labels, cells, steps, np.flatnonzero(~matters))
        read = np.flatnonzero(matters)
        if len(read):
            which, gene, changed = scan.read(steps, new.astype(np.float64), read, columns[read])
            tally.add(cells[which], gene, changed)

    def _factor(self, cells: np.ndarray, added: np.ndarray) -> np.ndarray:
        """Return what counts are multiplied by when as many counts more are in the cells."""
        size = self._X.sum(axis=1, dtype=np.float64)[cells] + added
        factor: np.ndarray = self._total / np.where(size > 0, size, 1.0)
        return factor


class _Normalised:
    """Cells with a few counts more or less, normalised, and the scorer that the classifier makes of them."""

    def __init__(self, inner: Classifier, genes: pd.Index, counts: sp.csr_array, factor: np.ndarray) -> None:
        self._factor = factor
        # an attack needs a second cluster: one cell without counts, which nobody is asked about
        ends = np.append(counts.indptr, counts.indptr[-1])
        logs = np.log1p(counts.data * np.repeat(factor, np.diff(counts.indptr)))
        X = sp.csr_array((logs, counts.indices, ends), shape=(len(factor) + 1, len(genes))).toarray()
        obs = pd.DataFrame({"group": ["own"] * len(factor) + ["other"]}, index=[f"{i}" for i in range(len(X))])
        cluster = Cluster(AnnData(X, obs=obs, var=pd.DataFrame(index=genes)), "group", "own")
        self._scorer: Scorer = inner.scorer(cluster)

    @property
    def weighed(self) -> Weighed | None:
        """The weighted sums that the classifier is; None where it is more than that."""
        return Weighed.of(self._scorer)

    def answers(self, cells: np.ndarray, genes: np.ndarray, counts: np.ndarray) -> Changed | None:
        """Return what becomes of `cells` when one count of each is set to a new one; positions here, -1 for no gene."""
        read = genes >= 0
        read[read] = self._scorer.reads(genes[read])
        values = np.log1p(counts.astype(np.float64) * self._factor[cells])
        asked = self._scorer.pairs(cells[read], genes[read], values[read])
        now = self._scorer.baseline
        if asked is None or now.labels is None:
            return None
        names, codes = np.unique(np.concatenate([asked.labels, now.labels]), return_inverse=True)
        of_asked, of_now = codes[: len(asked.labels)], codes[len(asked.labels) :]
        found = of_now[cells]
        found[read] = of_asked[asked.codes]
        if asked.scores is None or now.scores is None:
            return Changed(names, found, None)
        scores = np.asarray(now.scores, dtype=np.float64)[cells]
        scores[read] = asked.scores
        return Changed(names, found, scores)


class _Tally:
    """Votes of the cluster for each gene, and the lead, as changes come in."""

    def __init__(self, before: Answer, n_genes: int) -> None:
        assert before.labels is not None
        names, self._own = np.unique(before.labels, return_inverse=True)
        self._names = {str(name): code for code, name in enumerate(names)}
        self._votes = [np.full(n_genes, n) for n in np.bincount(self._own)]
        self._lead = lead = lead_of_answer(before)
        self._gaps = None if lead is None or before.scores is None else lead.gaps(before.scores)
        self._change = np.zeros(n_genes)

    def _known(self, labels: np.ndarray) -> np.ndarray:
        """Return the codes of labels here; those that are new get a code."""
        for name in labels:
            if str(name) not in self._names:
                self._names[str(name)] = len(self._names)
                self._votes.append(np.zeros(len(self._change), dtype=np.int64))
        return np.array([self._names[str(name)] for name in labels])

    def add_unread(
        self, scan: Scan, labels: np.ndarray, cells: np.ndarray, added: np.ndarray, genes: np.ndarray
    ) -> None:
        """Count what becomes of `cells` when one of `genes` changes, which the classifier does not read."""
        if not len(genes):
            return
        codes = self._known(labels)
        first = {int(code): k for k, code in reversed(list(enumerate(codes)))}
        own = np.array([first[int(code)] for code in self._own[cells]])
        lead, gaps = self._lead, self._gaps
        now = None if lead is None or gaps is None else lead.gaps(scan.scores)
        moved, change = scan.unread(added, genes, now, own, None if gaps is None else gaps[cells])
        for k, code in enumerate(codes):
            self._votes[code] += moved[k]
        if now is not None:
            self._change += change

    def add(self, cells: np.ndarray, genes: np.ndarray, changed: Changed) -> None:
        """Count what became of `cells` (positions in the cluster) when one of `genes` (positions here) changed."""
        n_genes, codes = len(self._change), self._known(changed.labels)[changed.codes]
        moved = np.flatnonzero(codes != self._own[cells])
        for code, votes in enumerate(self._votes):
            votes += np.bincount(genes[moved[codes[moved] == code]], minlength=n_genes)
            votes -= np.bincount(genes[moved[self._own[cells[moved]] == code]], minlength=n_genes)
        if self._lead is not None and self._gaps is not None and changed.scores is not None:
            step = self._lead.gaps(changed.scores) - self._gaps[cells]
            self._change += np.bincount(genes, weights=step, minlength=n_genes)

    def answers(self) -> Answers:
        """Return the answer for each gene."""
        label, share = Ballot(list(self._names)).winners(np.column_stack(self._votes))
        taken = None
        if self._lead is not None and self._gaps is not None:
            taken = self._lead.taken((self._gaps.sum() + self._change) / len(self._gaps))
        return Answers(label, share, np.zeros(len(label), dtype=bool), taken)


def _are_whole(counts: np.ndarray) -> bool:
    """Return whether all are counts whose sums, and sums of sums, are exact."""
    return bool(_whole(counts).all())


def _whole(counts: np.ndarray) -> np.ndarray:
    whole: np.ndarray = (counts >= 0) & (counts < 2**36) & (counts == np.rint(counts))
    return whole


def _distinct(added: np.ndarray) -> np.ndarray:
    """Return the whole numbers other than 0 that occur, ascending."""
    low, high = (added.min(), added.max()) if len(added) else (0.0, 0.0)
    if high - low > 4 * len(added):  # too far apart to be counted
        return np.unique(added[added != 0])
    there: np.ndarray = np.flatnonzero(np.bincount((added - low).astype(np.int64))) + low
    found: np.ndarray = there[there != 0]
    return found


def _portions(rows: list[int], width: int, most: int) -> Iterator[np.ndarray]:
    """Split cells into portions of at most `width` rows (or one cell), and at most `most` cells."""
    start, held = 0, 0
    for cell, n in enumerate(rows):
        if cell > start and (held + n > width or cell - start >= most):
            yield np.arange(start, cell)
            start, held = cell, 0
        held += n
    yield np.arange(start, len(rows))


def _joined(quick: np.ndarray, one: Answers, other: Answers) -> Answers:
    """Return the answers of both, in the order of the genes; `quick` says which come from the first."""
    order = np.argsort(np.concatenate([np.flatnonzero(quick), np.flatnonzero(~quick)]), kind="stable")
    both = [np.concatenate(pair)[order] for pair in zip(
        (one.label, one.share, one.rejected), (other.label, other.share, other.rejected), strict=True
    )]  # fmt: skip
    leads = None if one.lead is None or other.lead is None else np.concatenate([one.lead, other.lead])[order]
    return Answers(both[0], both[1], both[2], leads)
