"""The law that every scorer obeys: it answers what classifying the changed cells from scratch would answer.

``check_scorer_law(classifier, adata, groupby=..., target=...)`` plays random games of ``each``, ``together``,
``accept`` and ``fork`` and compares every answer with ``Classifier.predict_cluster`` on a changed copy of the data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answer, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers import linear
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.errors import InputRejected
from adverscarial.modifications.base import with_values

HUGE = (1e9, -1e9)
MODERATE = (0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 20.0)


def check_scorer_law(
    classifier: Classifier,
    adata: AnnData,
    *,
    groupby: str,
    target: str,
    layer: str | None = None,
    seed: int = 0,
    games: int = 3,
    moves: int = 8,
    genes: int = 6,
    values: tuple[float, ...] = HUGE + MODERATE,
    rounding_ties: bool = False,
) -> Scorer:
    """Play `games` of `moves` random moves, and return the scorer that they started from.

    Parameters
    ----------
    classifier, adata, groupby, target, layer
        What is attacked.
    seed, games, moves
        Of the random games; every game starts from the unmodified cluster.
    genes
        Most genes changed in one move (some moves change all of them).
    values
        Constants that genes are set to, beside values that occur in the data.
    rounding_ties
        Whether a label may differ where the two best scores of the full prediction agree within the tolerance.
        For classifiers that add in another order each time they see another number of cells (BLAS).
    """
    cluster = Cluster(adata, groupby, target, layer=layer)
    scorer = classifier.scorer(cluster)
    for game in range(games):
        with pytest.MonkeyPatch.context() as patch:
            if game % 2 == 0:  # so few genes are summed anew: ask the compiled loop, too
                patch.setattr(linear, "_SUMMED", 0)
            _Game(
                classifier, adata, cluster, scorer.fork(), np.random.default_rng([seed, game]), values, rounding_ties
            ).play(moves, genes)
    judge = _Game(classifier, adata, cluster, scorer, np.random.default_rng(seed), values, rounding_ties)
    judge.compare(scorer.baseline, judge.now)  # the games were played on forks
    judge.check_unread()
    return scorer


class _Game:
    """A scorer beside the data set that it should speak of."""

    def __init__(
        self,
        classifier: Classifier,
        adata: AnnData,
        cluster: Cluster,
        scorer: Scorer,
        rng: np.random.Generator,
        values: tuple[float, ...],
        rounding_ties: bool,
    ) -> None:
        self.classifier, self.cluster, self.scorer, self.rng = classifier, cluster, scorer, rng
        self.constants, self.rounding_ties = values, rounding_ties
        self.tolerance = 1e-9 if cluster.X.dtype == np.float64 else 1e-6
        self.rows, self.labels = cluster.rows, cluster.labels
        self.now = adata
        if not classifier.needs_all_cells:  # the other cells cannot matter, so they need not be copied each time
            self.now = adata[cluster.rows].copy()
            self.rows, self.labels = np.arange(cluster.n_cells), cluster.labels[cluster.rows]
        self.dtype = cluster.X.dtype

    def play(self, moves: int, most: int) -> None:
        self.compare(self.scorer.baseline, self.now)
        for _ in range(moves):
            genes = self.some_genes(most)
            values = self.some_values(genes)
            move = self.rng.choice(["each", "together", "accept", "fork"], p=[0.35, 0.3, 0.2, 0.15])
            if move == "each":
                self.ask_each(genes, values)
            elif move == "together":
                self.compare(self.scorer.together(genes, values), self.changed(genes, values))
            elif move == "accept":
                self.accept(genes, values)
            else:  # what is accepted by a fork, whichever of the two it is, leaves the other alone
                other, before = self.scorer.fork(), self.now
                if self.rng.random() < 0.5:
                    self.scorer, other = other, self.scorer
                self.accept(genes, values)
                self.scorer, other = other, self.scorer
                after, self.now = self.now, before
                self.compare(self.scorer.baseline, self.now)
                self.ask_each(genes, values)
                if self.rng.random() < 0.5:
                    self.scorer, self.now = other, after
        self.compare(self.scorer.baseline, self.now)

    def some_genes(self, most: int) -> np.ndarray:
        """Draw genes: at least half of them read, where any is; now and then all genes."""
        everything = np.arange(len(self.cluster.genes))
        if self.rng.random() < 0.05:
            return self.rng.permutation(everything)
        n = int(self.rng.integers(1, min(most, len(everything)) + 1))
        read = everything[self.scorer.reads(everything)]
        chosen = self.rng.choice(read, size=min(len(read), (n + 1) // 2), replace=False)
        rest = np.setdiff1d(everything, chosen)
        return self.rng.permutation(
            np.concatenate([chosen, self.rng.choice(rest, size=min(len(rest), n - len(chosen)), replace=False)])
        )

    def some_values(self, genes: np.ndarray) -> np.ndarray:
        """Draw values: constants for all cells, (1, k), or one per cell, many of them ones that the gene has."""
        n = self.cluster.n_cells
        known = self.cluster.statistics.columns(genes)
        if self.rng.random() < 0.5:
            values = self.rng.choice(self.constants, size=(1, len(genes)))
            own = self.rng.random(len(genes)) < 0.3
            values[0, own] = known[self.rng.integers(len(known), size=len(genes)), np.arange(len(genes))][own]
        else:
            values = known[self.rng.integers(len(known), size=(n, len(genes))), np.arange(len(genes))].astype(
                np.float64
            )
            values[:, self.rng.random(len(genes)) < 0.2] *= -1
            if self.rng.random() < 0.3:
                strange = self.rng.random(values.shape) < 0.2
                values[strange] = self.rng.choice(self.constants, size=int(strange.sum()))
        return values.astype(self.dtype)  # attacks too round to what the data can hold

    def changed(self, genes: np.ndarray, values: np.ndarray) -> AnnData:
        return with_values(self.now, self.rows, genes, values, layer=self.cluster.layer)

    def truth(self, changed: AnnData) -> Answer | None:
        """Classify from scratch; None where the classifier refuses the input."""
        try:
            return self.classifier.predict_cluster(
                changed, self.rows, self.cluster.target, self.labels, self.cluster.layer
            )
        except InputRejected:
            return None

    def ask_each(self, genes: np.ndarray, values: np.ndarray) -> None:
        genes, values = genes[:12], values[:, :12]
        answers = self.scorer.each(genes, values)
        assert len(answers.label) == len(answers.share) == len(answers.rejected) == len(genes)
        for k in range(len(genes)):
            changed = self.changed(genes[[k]], values[:, [k]])
            answer = Answer(str(answers.label[k]), float(answers.share[k]), rejected=bool(answers.rejected[k]))
            self.compare(answer, changed, partial=True)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
        changed = self.changed(genes, values)
        if self.truth(changed) is None:
            assert self.scorer.together(genes, values).rejected
            return
        self.scorer.accept(genes, values)
        self.now = changed
        self.compare(self.scorer.baseline, changed)

    def compare(self, answer: Answer, changed: AnnData, *, partial: bool = False) -> None:
        """Compare a scorer's answer with the full prediction of `changed`; `partial`: it has label and share only."""
        truth = self.truth(changed)
        assert answer.rejected == (truth is None)
        if truth is None:
            return
        near = self.near_ties(truth)
        if not near.any():
            assert answer.label == truth.label
            assert answer.share == truth.share
        else:  # each undecided cell may be counted for either label
            assert truth.labels is not None
            undecided = int(near.sum())
            votes = vote(truth.labels)[2]
            assert votes[truth.label] - votes.get(answer.label, 0) <= 2 * undecided
            assert abs(answer.share * len(near) - votes.get(answer.label, 0)) <= undecided + 0.5
        if partial:
            return
        assert (answer.labels is None) == (truth.labels is None)
        if truth.labels is not None and answer.labels is not None:
            np.testing.assert_array_equal(answer.labels[~near], truth.labels[~near])
        assert (answer.scores is None) == (truth.scores is None)
        if truth.scores is not None and answer.scores is not None:
            assert answer.scores.shape == truth.scores.shape
            wrong = np.abs(answer.scores - truth.scores) > self.tolerance * np.abs(truth.scores).max(
                axis=1, keepdims=True
            )
            assert not wrong.any(), (answer.scores[wrong][:5], truth.scores[wrong][:5])

    def near_ties(self, truth: Answer) -> np.ndarray:
        if truth.labels is None:
            return np.zeros(1, dtype=bool)
        if not self.rounding_ties or truth.scores is None or truth.scores.shape[1] < 2:
            return np.zeros(len(truth.labels), dtype=bool)
        best = np.sort(truth.scores, axis=1)[:, -2:]
        return best[:, 1] - best[:, 0] <= self.tolerance * np.abs(truth.scores).max(axis=1)

    def check_unread(self) -> None:
        """Genes that `reads` calls unread make no difference, whatever they are changed to."""
        genes = np.flatnonzero(~self.scorer.reads(np.arange(len(self.cluster.genes))))
        if not len(genes):
            return
        before = self.truth(self.now)
        for value in (1e9, -1e9, 0.25):
            values = np.full((1, len(genes)), value, dtype=self.dtype)
            changed = self.changed(genes, values)
            after = self.truth(changed)
            assert before is not None
            assert after is not None
            assert (after.label, after.share) == (before.label, before.share)
            np.testing.assert_array_equal(after.labels, before.labels)
            self.compare(self.scorer.together(genes, values), changed)
            answers = self.scorer.each(genes, values)
            assert set(answers.label) == {before.label}
            assert set(answers.share) == {before.share}
            assert not answers.rejected.any()


def moved(
    kind: str, scorer: Scorer, genes: np.ndarray, values: np.ndarray, *, now: AnnData, changed: AnnData,
    agree: Callable[[Answer, AnnData], None],
) -> AnnData:  # fmt: skip
    """Ask about a change, make it in a copy of the scorer, or make it for good; return the data as they are then."""
    if kind == "together":
        agree(scorer.together(genes, values), changed)
    elif kind == "fork":
        other = scorer.fork()
        other.accept(genes, values)
        agree(other.baseline, changed)
    else:
        scorer.accept(genes, values)
        return changed
    return now
