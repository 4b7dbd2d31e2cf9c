"""A guarded classifier's scorer answers what predicting the changed cells from scratch answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import Classifier, Guard, wrap
from adverscarial.classifiers.guard.limits import Limits
from adverscarial.classifiers.guard.scorers import JudgingScorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from laws.families import FAMILIES, GENES, TYPES, bent, cells, classifier

ACTIONS = ("refuse", "clip", "unsure")
#: within the limits of the cells below, at them, just beyond, and far beyond
VALUES = (0.0, 1.0, 2.0, 4.5, 5.5, 6.5, 8.0, -0.5, 20.0, 1e9, -1e9)


@pytest.fixture(scope="module")
def train() -> AnnData:
    return cells(10**7)


@pytest.mark.fast("0.0-forest-refuse", "0.0-markers-refuse", "0.0-scMLP-refuse", "0.0-function-refuse")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_answers_are_those_of_a_full_prediction(family: str, action: str, margin: float, train: AnnData) -> None:
    guard = Guard(classifier(family), action, margin=margin).fit(train)
    adata = train if action == "refuse" else cells(3)  # without a margin, new cells may be refused as they are
    scorer = check_scorer_law(
        guard, adata, groupby="cluster", target="c0", values=VALUES, games=4, moves=10, rounding_ties=True
    )
    assert scorer.incremental == classifier(family).scorer(Cluster(adata, "cluster", "c0")).incremental


@pytest.mark.fast(1)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_classifier_of_all_cells_is_guarded_as_exactly(action: str) -> None:
    adata = adv.datasets.embedded()
    guard = Guard(adv.classifiers.ScType(scaled=False), action, margin=0.2).fit(adata)
    assert guard.needs_all_cells
    strange = adata.copy()
    other = np.flatnonzero(adata.obs["cell_type"] != "Dendritic")[:3]
    if action != "refuse":  # clipped outside of the cluster, too: it moves every z-score
        X = strange.X.toarray() if hasattr(strange.X, "toarray") else np.array(strange.X)
        X[other, :40] = 500
        strange.X = X
    check_scorer_law(guard, strange, groupby="cell_type", target="Dendritic", games=2, moves=6, rounding_ties=True)


@pytest.mark.slow
def test_a_guard_of_counts_rounds_and_refuses_what_is_not_whole() -> None:
    rng = np.random.default_rng(0)
    adata = cells(0)
    adata.X = rng.poisson(2, adata.shape).astype(np.float32)
    model = wrap(bent, classes=list(TYPES), genes=GENES)
    for action in ACTIONS:
        guard = Guard(model, action).fit(adata)
        assert guard.limits.whole
        check_scorer_law(guard, adata, groupby="cluster", target="c1", values=(0.5, 3.0, 2.5, 7.0, -1.0, 1e6))


@pytest.mark.fast(1)
@pytest.mark.parametrize("action", ["refuse", "unsure"])
def test_an_outlier_detector_judges_every_question(action: str, train: AnnData) -> None:
    from sklearn.ensemble import IsolationForest

    model, forest = classifier("forest"), IsolationForest(n_estimators=10, contamination=0.02, random_state=0)
    guard = Guard(model, action, outliers=forest).fit(train)
    clean = guard.possible(train).to_numpy()
    adata = train[clean].copy()
    scorer = check_scorer_law(guard, adata, groupby="cluster", target="c0", games=2, moves=5, values=(0.0, 3.0, 6.0))
    assert not scorer.incremental


def test_sums_that_lost_their_digits_are_summed_anew() -> None:
    """A huge value is accepted and taken back: what is left of the sum's digits would decide wrongly."""
    genes = [f"G{i}" for i in range(4)]
    X = np.full((6, 4), 0.1)
    X[3:] += 0.2
    obs = pd.DataFrame({"cluster": ["a"] * 3 + ["b"] * 3}, index=[f"c{i}" for i in range(6)])
    adata = AnnData(X, obs=obs, var=pd.DataFrame(index=genes))
    guard = Guard(wrap(lambda X: np.where(X[:, 0] > 1, "B", "T"), classes=["B", "T"], genes=genes), "unsure").fit(adata)
    exact = float(adata.X[0].sum())
    guard._limits = Limits(**{**vars(guard.limits), "size": (exact, 10.0)})  # just reached, from scratch
    cluster = Cluster(adata, "cluster", "a")
    scorer = guard.scorer(cluster)
    assert isinstance(scorer, JudgingScorer)
    assert scorer.baseline.label == "T"
    gene = np.array([1])
    scorer.accept(gene, np.array([[1e17]]))
    assert scorer.baseline.label == "unknown"
    back = scorer.together(gene, np.array([[0.1]]))
    assert (back.label, back.share) == ("T", 1.0)
    assert scorer.each(gene, np.array([[0.1]])).label.tolist() == ["T"]


@pytest.mark.fast("markers-refuse", "forest-refuse")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("family", ["markers", "forest", "logistic"])
def test_bounds_of_minchange_hold_behind_a_guard(family: str, action: str, train: AnnData) -> None:
    """What is proven and found is confirmed from scratch, and no smaller set flips the label."""
    from itertools import combinations

    from adverscarial.errors import InputRejected
    from adverscarial.modifications.base import with_values

    guard = Guard(classifier(family), action, margin=0.2).fit(train)
    attack = adv.attacks.MinChange("fixed:6")
    result = attack(train, guard, groupby="cluster", target="c0", seed=0)
    cluster = Cluster(train, "cluster", "c0")

    def flips(genes: tuple[int, ...]) -> bool:
        changed = with_values(train, cluster.rows, np.array(genes), np.full((1, len(genes)), 6.0))
        try:
            answer = guard.predict_cluster(changed, cluster.rows, "c0", cluster.labels, None)
        except InputRejected:
            return False
        return answer.label != result.baseline

    smallest = next((n for n in range(1, 5) for s in combinations(range(8), n) if flips(s)), None)
    if smallest is None:
        assert result.impossible or result.lower is None or result.lower > 4 or not result.success
    else:
        assert result.lower <= smallest
        if result.success:
            assert smallest <= len(result.genes)
            assert result.verify(train, guard)


def test_a_gradient_goes_through_the_guard(train: AnnData) -> None:
    plain: Classifier = classifier("logistic")
    attack = adv.attacks.FastGradientSign(1.0, nonnegative=True)
    where = {"groupby": "cluster", "target": "c0"}
    free = attack(train, plain, **where)
    for action in ACTIONS:
        guard = Guard(plain, action, margin=5).fit(train)  # so wide that it never acts
        assert guard.differentiable
        found = attack(train, guard, **where)
        assert (found.label, found.share) == (free.label, free.share)
    X = train.X[:3].copy()
    X[0, 0] = 100.0
    guard = Guard(plain, "clip", margin=0).fit(train)
    slope = guard.gradient(X, np.ones((3, 3)) * [1, -1, 0])
    assert slope[0, 0] == 0
    assert (slope[1] != 0).any()
    assert not Guard(wrap(bent, classes=list(TYPES), genes=GENES)).fit(train).differentiable


def test_a_gene_that_is_not_read_can_make_a_cell_possible_again() -> None:
    adata = cells(10**7)

    def label(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > 1, "B", "T")

    class FirstGene(GeneralScorer):
        def reads(self, genes: np.ndarray) -> np.ndarray:
            return genes == 0

    guard = Guard(wrap(label, classes=["B", "T"], genes=GENES), "unsure").fit(adata)
    cluster = Cluster(adata, "cluster", "c0")
    scorer = JudgingScorer(FirstGene(guard.inner, cluster), guard, cluster)
    label_before, unread = scorer.baseline.label, np.array([5])
    scorer.accept(unread, np.array([[1e6]]))
    assert scorer.baseline.label == "unknown"
    assert scorer.each(unread, np.array([[1.0]])).label.tolist() == [label_before]
    assert scorer.each(np.array([0]), np.array([[1.0]])).label.tolist() == ["unknown"]


@pytest.mark.fast(1)
@pytest.mark.parametrize("action", ACTIONS)
def test_counts_are_guarded_before_they_are_normalised(action: str) -> None:
    from sklearn.linear_model import LogisticRegression

    adata = cells(0)
    adata.X = np.random.default_rng(1).poisson(3, adata.shape).astype(np.float64)
    logs = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    model = wrap(
        LogisticRegression(C=0.01, max_iter=5000).fit(logs, adata.obs["type"]), genes=GENES, preprocess="log1p"
    )
    guard = Guard(model, action).fit(adata)
    check_scorer_law(
        guard, adata, groupby="cluster", target="c0", games=2, moves=6, values=(0.0, 4.0, 9.0, 500.0, -1.0),
        rounding_ties=True,
    )  # fmt: skip
