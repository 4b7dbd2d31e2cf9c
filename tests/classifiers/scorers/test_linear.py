from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.classifiers.scorer_law import check_scorer_law

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.linear_model import LinearModel
from adverscarial.classifiers.scorers import linear as scorers_linear
from adverscarial.classifiers.scorers import linear_sums, linear_votes
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.errors import GeneMismatchError, InputRejected

GENES = [f"g{i}" for i in range(8)]


def cells(seed: int = 0, dtype: type = np.float64, whole: bool = False) -> AnnData:
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 3, size=(31, 8)) if whole else rng.gamma(0.6, 2, size=(31, 8))
    obs = pd.DataFrame({"cluster": [f"c{i % 2}" for i in range(30)] + ["lone"]}, index=[f"cell{i}" for i in range(31)])
    return AnnData(X.astype(dtype), obs=obs, var=pd.DataFrame(index=GENES))


def model(seed: int = 0, classes: int = 3, whole: bool = False) -> LinearModel:
    """Five genes in an order of their own; the fourth weighs nothing."""
    rng = np.random.default_rng([seed, 1])
    weights = rng.integers(-2, 3, size=(5, classes)).astype(float) if whole else rng.normal(size=(5, classes))
    weights[3] = 0
    bias = np.zeros(classes) if whole else rng.normal(size=classes)
    return LinearModel("linear", pd.Index(["g6", "g1", "g0", "g3", "g4"]), list("abcdefg")[:classes], weights, bias)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), classes=st.integers(2, 5), whole=st.booleans(), target=st.sampled_from(["c0", "lone"]),
    dtype=st.sampled_from([np.float64, np.float32]),
)  # fmt: skip
def test_answers_are_those_of_full_prediction(seed: int, classes: int, whole: bool, target: str, dtype: type) -> None:
    """Also where whole numbers tie exactly, and huge ones are taken back."""
    adata = cells(seed, dtype, whole)
    scorer = check_scorer_law(
        model(seed, classes, whole), adata, groupby="cluster", target=target, seed=seed, games=2, moves=12
    )
    assert isinstance(scorer, LinearScorer)


@pytest.fixture
def looped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few genes are asked about by the compiled loop, too."""
    monkeypatch.setattr(scorers_linear, "_SUMMED", 0)


@pytest.fixture
def sparing(looped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scorers look at no cell that they can prove unmoved, and sum two genes at a time."""
    monkeypatch.setattr(scorers_linear, "_ROOM", 0)
    for module in (scorers_linear, linear_sums):
        monkeypatch.setattr(module, "GENES_AT_ONCE", 2)


@pytest.mark.fast(2)
@pytest.mark.usefixtures("sparing")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("classes", "whole"), [(2, False), (3, True), (5, False)])
@pytest.mark.parametrize("seed", range(3))
def test_law_where_cells_are_proven_unmoved(seed: int, classes: int, whole: bool, dtype: type) -> None:
    check_scorer_law(
        model(seed, classes, whole), cells(seed, dtype, whole), groupby="cluster", target="c0", seed=seed, games=2,
        moves=12,
    )  # fmt: skip


@pytest.mark.usefixtures("looped")
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_law_where_a_gene_moves_the_scores_of_a_few_classes(seed: int, whole: bool) -> None:
    """As markers do; the gene's own class may be among them, or the next one, or both may tie."""
    rng, linear = np.random.default_rng([seed, 2]), model(seed, 6, whole)
    linear.weights = linear.weights * (rng.random((5, 6)) < 0.3)
    check_scorer_law(linear, cells(seed, np.float64, whole), groupby="cluster", target="c0", seed=seed, games=2)


@pytest.mark.usefixtures("sparing")
@pytest.mark.parametrize("target", ["c0", "lone"])
def test_law_of_one_sum_where_cells_are_proven_unmoved(target: str) -> None:
    check_scorer_law(Signed(), cells(), groupby="cluster", target=target, games=4, moves=10)


def many(classes: int, dtype: type, whole: bool) -> tuple[LinearModel, Cluster, np.ndarray]:
    """More genes and cells than are looked at without asking which can matter, and a new value for each gene.

    Some cells tie exactly, a few nearly; some genes have one value in all cells, or weigh nothing.
    """
    rng = np.random.default_rng([classes, whole])
    X, weights = rng.normal(size=(120, 700)), rng.normal(size=(700, classes)) * rng.random((700, 1)) ** 4
    new = rng.normal(0, 3, (1, 700))
    if whole:
        X, weights, new = np.round(X), np.round(weights * 2), np.round(new)
    X[:, 5], weights[9], new[0, 11] = 0.5, 0, X[0, 11]
    X, new = X.astype(dtype), new.astype(dtype)
    names = [f"g{i}" for i in range(700)]
    obs = pd.DataFrame({"cluster": ["c0", "c1"] * 60}, index=[f"cell{i}" for i in range(120)])
    linear = LinearModel("linear", pd.Index(names), list("abcdefg")[:classes], weights)
    return linear, Cluster(AnnData(X, obs=obs, var=pd.DataFrame(index=names)), "cluster", "c0"), new


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_every_gene_alone_is_answered_as_a_full_prediction_answers(classes: int, whole: bool, dtype: type) -> None:
    """Also after a change for good, whose values the data set's number type does not hold."""
    linear, cluster, new = many(classes, dtype, whole)
    scorer, X = linear.scorer(cluster), cluster.values(np.arange(700)).astype(np.float64, order="F")
    for _ in range(2):
        answers = scorer.each(np.arange(700), new)
        few = scorer._in_reach(np.arange(700), new.astype(np.float64))
        assert (few < len(X)).any()
        for gene in range(700):
            changed = X.copy(order="F")
            changed[:, gene] = new[0, gene]
            names, votes = np.unique(linear.decide(changed).labels.astype(str), return_counts=True)
            assert (answers.label[gene], answers.share[gene]) == (names[votes.argmax()], votes.max() / len(X))
        moved = np.arange(3, 12)
        scorer.accept(moved, np.full((1, 9), 0.1))
        X[:, moved] = 0.1
        assert scorer.baseline.labels is not None
        assert scorer.baseline.labels.tolist() == linear.decide(X).labels.tolist()


def test_the_share_of_the_lead_is_that_of_the_mean_scores() -> None:
    linear, cluster, new = many(3, np.float32, False)
    scorer = linear.scorer(cluster)
    answers, scores = scorer.each(np.arange(700), new), scorer.baseline.scores
    assert answers.lead is not None
    assert scores is not None
    own = list("abc").index(scorer.baseline.label)
    rival = max((k for k in range(3) if k != own), key=lambda k: float(scores[:, k].mean()))
    lead = float((scores[:, own] - scores[:, rival]).mean())
    X = cluster.values(np.arange(700)).astype(np.float64)
    for gene in range(0, 700, 7):
        changed = X.copy()
        changed[:, gene] = new[0, gene]
        now = linear.decide(changed).scores
        assert now is not None
        assert answers.lead[gene] == pytest.approx(1 - (now[:, own] - now[:, rival]).mean() / lead, abs=1e-9)
    assert answers.lead[9] == 0  # weighs nothing
    unmoved = scorer.each(np.array([5]), np.array([[0.5]]))
    assert unmoved.lead is not None
    assert unmoved.lead[0] == 0


@pytest.mark.slow
def test_law_over_many_accepted_changes() -> None:
    check_scorer_law(model(), cells(), groupby="cluster", target="c0", games=1, moves=150, genes=2)


@pytest.mark.slow
def test_scores_are_weighted_sums() -> None:
    adata, linear = cells(), model()
    wanted = adata.to_df()[["g6", "g1", "g0", "g3", "g4"]].to_numpy() @ linear.weights + linear.bias
    np.testing.assert_allclose(linear.scores(adata), wanted, rtol=1e-12)
    assert linear.predict(adata).tolist() == [linear.classes[k] for k in wanted.argmax(axis=1)]
    with pytest.raises(GeneMismatchError, match="linear needs 5 genes, 4"):
        linear.predict(adata[:, 1:])


def test_reads_genes_with_any_weight() -> None:
    scorer = model().scorer(Cluster(cells(), "cluster", "c0"))
    assert [GENES[i] for i in np.flatnonzero(scorer.reads(np.arange(8)))] == ["g0", "g1", "g4", "g6"]


class Signed(Classifier):
    """One sum; above 0 it is "yes". The first gene enters as its logarithm, and negative values are refused."""

    classes = ("no", "yes")
    genes = pd.Index(GENES)
    weights = np.array([[1.0], [-2.0], [0.5], [1.0], [-1.0], [0.0], [0.0], [0.0]])

    def decide(self, X: np.ndarray) -> Decision:
        X = X.astype(np.float64)
        if (X[:, 0] < 0).any() or (X[:, 5] < 0).any():
            raise InputRejected("no logarithm")
        X = np.hstack([np.log1p(X[:, :1]), X[:, 1:]])
        sums = X @ self.weights
        return Decision(np.where(sums[:, 0] > 0, "yes", "no").astype(object), np.hstack([-sums, sums]))

    def scorer(self, cluster: Cluster) -> LinearScorer:
        def transform(places: np.ndarray, values: np.ndarray) -> np.ndarray:
            logarithm = np.isin(places, [0, 5])
            with np.errstate(invalid="ignore"):
                changed = np.where(values < 0, np.nan, np.where(places == 0, np.log1p(np.abs(values)), values))
            return np.where(logarithm, changed, values)

        return LinearScorer(
            cluster.X, np.arange(8), 8, self.weights, np.zeros(1), self.classes, transform=transform,
            checked=np.isin(np.arange(8), [0, 5]), link=lambda sums: np.hstack([-sums, sums]),
        )  # fmt: skip


@pytest.mark.fast(1)
@pytest.mark.parametrize("target", ["c0", "lone"])
@pytest.mark.parametrize("seed", range(3))
def test_law_of_one_sum_behind_a_function_that_can_fail(target: str, seed: int) -> None:
    """A refusal concerns only the genes that can be refused, also one without weight."""
    scorer = check_scorer_law(Signed(), cells(seed), groupby="cluster", target=target, seed=seed, games=4, moves=10)
    assert scorer.reads(np.arange(8)).tolist() == [True] * 6 + [False] * 2


def test_refusals_leave_everything_as_it_was() -> None:
    scorer = Signed().scorer(Cluster(cells(), "cluster", "c0"))
    before = scorer.baseline
    answers = scorer.each(np.array([0, 1, 5, 7]), np.full((1, 4), -1.0))
    assert answers.rejected.tolist() == [True, False, True, False]
    assert answers.share[0] == answers.share[2] == 0.0
    answer = scorer.together(np.array([1, 5]), np.full((1, 2), -1.0))
    assert answer.rejected
    assert "NaN or infinite" in answer.reason
    with pytest.raises(InputRejected, match="1 genes become NaN"):
        scorer.accept(np.array([5]), np.array([[-1.0]]))
    assert scorer.baseline is before


@pytest.mark.parametrize("n_cells", [1, 1023, 2048, 3333])
@pytest.mark.parametrize("classes", [1, 3])
def test_sums_of_some_cells_at_a_time_round_as_those_of_all(n_cells: int, classes: int) -> None:
    random = np.random.default_rng(n_cells)
    values = np.asfortranarray(random.normal(size=(n_cells, 20)).astype(np.float32))
    weights = random.normal(size=(20, classes))
    sums, size = linear_sums.summed_with_size(values, weights)
    np.testing.assert_array_equal(sums, values.astype(np.float64) @ weights)
    np.testing.assert_allclose(size, np.abs(values.astype(np.float64)) @ np.abs(weights))


def test_a_tie_goes_to_the_first_class_in_every_query() -> None:
    """0.1 + 0.2 is not 0.3: the difference of two sums must not decide what the sums themselves leave tied."""
    weights = np.array([[0.1, 0.3], [0.2, 0.0], [1.0, 0.0]])
    linear = LinearModel("linear", pd.Index(GENES[:3]), ["first", "second"], weights)
    X = np.array([[0.0, 0.0, 7.0], [1.0, 1.0, 0.0]])
    adata = AnnData(X, obs=pd.DataFrame({"c": ["x", "y"]}, index=["i", "j"]), var=pd.DataFrame(index=GENES[:3]))
    scorer = linear.scorer(Cluster(adata, "c", "x"))
    scorer.accept(np.array([0, 1]), np.array([[1.0, 1.0]]))
    for huge in (7.0, 1e9, 1e15):
        scorer.accept(np.array([2]), np.array([[huge]]))
        truth = linear.decide(X[1:]).labels[0]
        assert scorer.together(np.array([2]), np.array([[0.0]])).label == truth
        assert scorer.each(np.array([2]), np.array([[0.0]])).label[0] == truth


@pytest.mark.parametrize("seed", range(5))
def test_votes_are_the_same_by_numpy_and_by_the_loop(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    scores, steps = rng.integers(-2, 3, (9, 4)).astype(float), rng.integers(-1, 2, (12, 9)) * 0.5
    weights, rank, goals = rng.normal(size=(12, 4)).round(1), rng.permutation(4), np.arange(4) == seed % 4
    found = []
    for few in (linear_votes._FEW, 0):
        monkeypatch.setattr(linear_votes, "_FEW", few)
        first = linear_votes.first_reaching(scores, steps, weights, rank, goals)
        found.append((first, linear_votes.thinned(scores + steps.T @ weights, steps, weights, rank, goals).tolist()))
    assert found[0] == found[1]
