from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests.classifiers.scorer_law import check_scorer_law

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answers, Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers import general
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import InputRejected

GENES = list("abcdefgh")


class Curved(Classifier):
    """Something with no incremental form, that reads four genes in an order of its own and refuses negative values."""

    classes = ("x", "y", "z")

    def __init__(self, refuses: bool = False) -> None:
        self.genes = pd.Index(["f", "b", "a", "g"])
        self.refuses = refuses
        self.calls: list[int] = []

    def decide(self, X: np.ndarray) -> Decision:
        self.calls.append(len(X))
        if self.refuses and (X < 0).any():
            raise InputRejected("negative values")
        f, b, a, g = X.T.astype(np.float64)
        scores = np.stack([np.tanh(f * b - a), np.cos(a) * np.tanh(g), np.tanh(b + g * a) / 2], axis=1)
        return Decision(argmax_labels(self.classes, scores), scores)


def cells(dtype: type = np.float64) -> AnnData:
    X = np.random.default_rng(0).gamma(0.7, 2, size=(41, 8)).astype(dtype)
    clusters = [f"c{i % 2}" for i in range(40)] + ["lone"]
    obs = pd.DataFrame({"cluster": clusters}, index=[f"cell{i}" for i in range(41)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


@pytest.mark.fast(2)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("target", ["c0", "lone"])
@pytest.mark.parametrize("refuses", [False, True])
def test_any_classifier_is_answered_as_by_full_prediction(dtype: type, target: str, refuses: bool) -> None:
    scorer = check_scorer_law(Curved(refuses), cells(dtype), groupby="cluster", target=target, games=6, moves=10)
    assert isinstance(scorer, GeneralScorer)


def test_reads_the_genes_of_the_classifier() -> None:
    scorer = GeneralScorer(Curved(), Cluster(cells(), "cluster", "c0"))
    assert [GENES[i] for i in np.flatnonzero(scorer.reads(np.arange(8)))] == ["a", "b", "f", "g"]


def test_genes_that_are_not_read_cost_nothing() -> None:
    model = Curved()
    scorer = GeneralScorer(model, Cluster(cells(), "cluster", "c0"))
    model.calls.clear()
    answers = scorer.each(np.array([2, 3, 4]), np.zeros((1, 3)))
    assert model.calls == []
    assert set(answers.label) == {scorer.baseline.label}


@pytest.mark.parametrize("queries", [1, 2, 3, 100])
def test_batches_answer_as_single_queries_do(monkeypatch: pytest.MonkeyPatch, queries: int) -> None:
    cluster = Cluster(cells(), "cluster", "c0")
    genes, values = np.array([5, 2, 1, 0, 6]), np.random.default_rng(1).normal(size=(20, 5))
    model = Curved()
    scorer = GeneralScorer(model, cluster)
    one_by_one = [scorer.together(genes[[k]], values[:, [k]]) for k in range(5)]
    monkeypatch.setattr(general, "_BATCH_BYTES", queries * scorer._X.nbytes)
    model.calls.clear()
    answers = scorer.each(genes, values)
    assert sum(model.calls) == 4 * 20  # gene 2 is not read
    assert max(model.calls) == 20 * min(queries, 4)
    assert answers.label.tolist() == [answer.label for answer in one_by_one]
    assert answers.share.tolist() == [answer.share for answer in one_by_one]


def test_a_refusal_concerns_one_query_of_a_batch() -> None:
    scorer = GeneralScorer(Curved(refuses=True), Cluster(cells(), "cluster", "c0"))
    answers = scorer.each(np.array([0, 1, 2, 5]), np.array([[3.0, -1.0, -1.0, 0.0]]))
    assert isinstance(answers, Answers)
    assert answers.rejected.tolist() == [False, True, False, False]  # gene 2 is not read
    assert answers.label[1] == scorer.baseline.label
    assert answers.share[1] == 0.0
    answer = scorer.together(np.array([0, 1]), np.array([[3.0, -1.0]]))
    assert (answer.rejected, answer.reason, answer.share) == (True, "negative values", 0.0)


def test_a_refused_change_is_not_accepted() -> None:
    scorer = GeneralScorer(Curved(refuses=True), Cluster(cells(), "cluster", "c0"))
    before: Any = scorer.baseline
    with pytest.raises(InputRejected):
        scorer.accept(np.array([1]), np.array([[-1.0]]))
    assert scorer.baseline is before
    np.testing.assert_array_equal(scorer.together(np.array([2]), np.array([[0.0]])).scores, before.scores)
