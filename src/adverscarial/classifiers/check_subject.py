"""The few cells, genes and queries that :func:`adverscarial.classifiers.check` tries a classifier on."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.cells.cluster import Cluster, cluster_labels
from adverscarial.classifiers.answers import Answer, Decision, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.errors import InputRejected
from adverscarial.modifications.base import with_values

_CLUSTER, _OTHERS = 60, 100  # most cells that are looked at, in the attacked cluster and outside it
_QUESTIONS = 8
_TOLERANCE = 1e-6  # of a score, relative to the cell's largest
_GROUPS = "adverscarial_check"


class Subject:
    """The classifier under test, a few cells, and one cluster of them."""

    def __init__(self, model: Classifier, adata: AnnData, groupby: str | None, layer: str | None, seed: int) -> None:
        self.model, self.layer, self.seed = model, layer, seed
        rng = np.random.default_rng(seed)
        if groupby is None:
            groups = np.where(rng.permutation(adata.n_obs) % 2 == 0, "one half", "other half")
        else:
            groups = cluster_labels(adata, groupby)
        target = vote(np.array([name for name in groups if name is not None] or [""]))[0]
        if groupby is not None:
            Cluster(adata, groupby, target, layer=layer, seed=seed)  # says what is wrong with the data, if anything
        inside = rng.permutation(np.flatnonzero(groups == target))
        outside = rng.permutation(np.flatnonzero(groups != target))
        chosen = np.sort(np.concatenate([inside[:_CLUSTER], outside[:_OTHERS]]))
        part = adata[chosen]
        self.adata = part.to_memory() if adata.isbacked else part.copy()
        self.adata.obs[_GROUPS] = groups[chosen]
        self.cluster = Cluster(self.adata, _GROUPS, target, layer=layer, seed=seed)
        self.of_clusters = model.of_clusters

    def ask(self, adata: AnnData) -> Decision:
        """Label every cell."""
        return self.model._decide_all(adata, self.layer)

    @cached_property
    def first(self) -> Decision:
        """What the classifier said when first asked."""
        return self.ask(self.adata)

    def scratch(self, adata: AnnData) -> Answer | None:
        """Classify the cluster anew; None where the classifier refuses the input."""
        cluster = self.cluster
        try:
            return self.model.predict_cluster(adata, cluster.rows, cluster.target, cluster.labels, self.layer)
        except InputRejected:
            return None

    def scorer(self) -> Scorer:
        """Return a fresh scorer of the cluster."""
        return self.model.scorer(self.cluster)

    def changed(self, adata: AnnData, genes: np.ndarray, values: np.ndarray) -> AnnData:
        """Return a copy of `adata` with new values in the cluster."""
        return with_values(adata, self.cluster.rows, genes, values, layer=self.layer)

    def queries(self, scorer: Scorer, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Draw genes, at least half of them read, and values such as attacks use."""
        rng = np.random.default_rng([self.seed, 1])
        everything = np.arange(len(self.cluster.genes))
        read = everything[scorer.reads(everything)]
        drawn = []
        for k in range(_QUESTIONS):
            n = min(int(rng.integers(1, most + 1)), len(everything))
            some_read = rng.choice(read, size=min(len(read), (n + 1) // 2), replace=False)
            rest = rng.permutation(np.setdiff1d(everything, some_read))[: n - len(some_read)]
            genes = rng.permutation(np.concatenate([some_read, rest])).astype(np.int64)
            drawn.append((genes, self.some_values(genes, k, rng)))
        return drawn

    def some_values(self, genes: np.ndarray, kind: int, rng: np.random.Generator) -> np.ndarray:
        """Return the maximum, zero, an aberrant value, values that the gene has, or one step beside these, by turns.

        A tree's threshold is often a value that the gene has, so these are queries right at thresholds.
        """
        statistics, n = self.cluster.statistics, self.cluster.n_cells
        if kind % 4 == 0:
            values = statistics.maximum(genes)[None, :]
        elif kind % 4 == 1:
            values = np.zeros((1, len(genes)))
        elif kind % 8 == 2:
            values = np.full((1, len(genes)), 1e5 * statistics.maximum_of_all())
        else:  # values that the gene has, one per cell
            known = statistics.columns(genes)
            values = known[rng.integers(len(known), size=(n, len(genes))), np.arange(len(genes))]
            if kind % 8 == 6:
                values = np.nextafter(values, rng.choice([-np.inf, np.inf], size=values.shape).astype(values.dtype))
        return values.astype(self.cluster.dtype)


def rows_of(decision: Decision, rows: np.ndarray) -> Decision:
    """Return what was said of some of the cells."""
    return Decision(decision.labels[rows], None if decision.scores is None else decision.scores[rows])


def _near_ties(scores: np.ndarray | None, n: int) -> np.ndarray:
    """Return which cells' two best scores are equal within the tolerance: there, either label will do."""
    if scores is None or np.ndim(scores) != 2 or scores.shape[1] < 2:
        return np.zeros(n, dtype=bool)
    best = np.sort(scores, axis=1)[:, -2:]
    near: np.ndarray = best[:, 1] - best[:, 0] <= _TOLERANCE * np.abs(scores).max(axis=1)
    return near


def difference(now: Decision, before: Decision, *, ties: bool = True) -> str:
    """Say how the answers about the same cells differ; nothing when they agree."""
    if np.shape(now.labels) != np.shape(before.labels):
        return f"the labels have shape {np.shape(now.labels)}, expected {np.shape(before.labels)}"
    differ = np.array([a != b for a, b in zip(now.labels, before.labels, strict=True)], dtype=bool)
    if ties:
        differ &= ~_near_ties(before.scores, len(differ))
    if differ.any():
        i = int(np.argmax(differ))
        first = f"the first is '{now.labels[i]}', not '{before.labels[i]}'"
        return f"{int(differ.sum())} of {len(differ)} labels differ, {first}"
    if (now.scores is None) != (before.scores is None):
        return "scores are given at one time only"
    if now.scores is None or before.scores is None:
        return ""
    if np.shape(now.scores) != np.shape(before.scores):
        return f"the scores have shape {np.shape(now.scores)}, expected {np.shape(before.scores)}"
    off = np.abs(now.scores - before.scores)
    allowed = _TOLERANCE * np.abs(before.scores).max(axis=-1, keepdims=True, initial=0)
    wrong = ~(off <= allowed) & ~(np.isnan(now.scores) & np.isnan(before.scores))
    return (
        f"{int(wrong.sum()):,} of {wrong.size:,} scores differ, by up to {off[wrong].max():.3g}" if wrong.any() else ""
    )


def disagreement(answer: Answer, truth: Answer | None) -> str:
    """Say how a scorer's answer differs from classifying the changed cells from scratch; nothing when they agree."""
    if truth is None or answer.rejected:
        if truth is None and answer.rejected:
            return ""
        return "the scorer accepts what the classifier refuses" if truth is None else "the scorer refuses needlessly"
    if truth.labels is None:
        ties, votes = 0.0, 0.0
    else:  # cells that may as well have been counted elsewhere, and those that carry the scorer's label
        ties = float(_near_ties(truth.scores, len(truth.labels)).mean())
        votes = float((np.asarray(truth.labels, dtype=str) == str(answer.label)).mean())
    same_label = str(answer.label) == str(truth.label)
    if (not same_label and truth.share - votes > 2 * ties) or abs(answer.share - truth.share) > ties + 1e-12:
        said, expected = (f"'{a.label}' ({a.share:.4f})" for a in (answer, truth))
        return f"the scorer says {said}, from scratch it is {expected}"
    if answer.labels is None or truth.labels is None:
        return ""
    scores = truth.scores if answer.scores is None else answer.scores
    found = difference(Decision(answer.labels, scores), Decision(truth.labels, truth.scores))
    return found and f"the scorer and the classifier disagree: {found}"


def same_matrix(a: Matrix, b: Matrix) -> bool:
    """Return whether two matrices hold the same values in the same type."""
    if sp.issparse(a):
        return bool(a.shape == b.shape and a.dtype == b.dtype and (a != b).nnz == 0)
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
