"""Trees by histograms, read out of scikit-learn's models, against its own sums and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline

from adverscarial.cells import Cluster
from adverscarial.classifiers import wrap
from adverscarial.classifiers.adapters.scikit_trees import cut, tree_ensemble
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.trees import TreeScorer
from classifiers.scorer_law import check_scorer_law

SETTINGS: dict[str, dict[str, Any]] = {
    "stumps": {"max_leaf_nodes": 2, "min_samples_leaf": 1, "learning_rate": 1.0},
    "one round": {"max_iter": 1},
    "one leaf": {"min_samples_leaf": 200},
    "deep": {"max_iter": 4, "min_samples_leaf": 1},
    "few bins": {"max_bins": 3, "min_samples_leaf": 2, "max_features": 0.5},
    "stopped": {"early_stopping": True, "n_iter_no_change": 1, "validation_fraction": 0.3, "max_iter": 20},
    "weighted": {"class_weight": "balanced", "l2_regularization": 1.0},
}
FORMS = ("whole", "rounded", "single")


def values(form: str, rng: np.random.Generator, n: int) -> np.ndarray:
    if form == "whole":
        return rng.integers(0, 4, (n, 6)).astype(float)
    X = rng.normal(size=(n, 6))
    return np.round(X, 1) if form == "rounded" else X.astype(np.float32)


def trained(name: str, form: str, n_classes: int, seed: int = 0, **more: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a model, and what it was trained on; most cells are of the first class."""
    rng = np.random.default_rng(seed)
    X, shares = values(form, rng, 120), np.r_[0.8, np.full(n_classes - 1, 0.2 / (n_classes - 1))]
    y = np.array(["a", "b", "c", "d"])[np.r_[np.repeat(np.arange(n_classes), 5), rng.choice(n_classes, 120, p=shares)]]
    settings = {"max_iter": 6, "min_samples_leaf": 5, "early_stopping": False, "random_state": seed, **SETTINGS[name]}
    model = HistGradientBoostingClassifier(**settings, **more).fit(X, y[:120])
    return model, X, y[:120]


def asked(model: Any, X: np.ndarray, seed: int) -> np.ndarray:
    """Return the training cells; others that stand at, and just above, the models' thresholds; and huge values."""
    rng, trees = np.random.default_rng(seed), tree_ensemble(model)
    assert trees is not None
    cuts = trees.threshold[trees.feature >= 0]
    ends = np.r_[cuts, np.nextafter(cuts, np.inf), 0.0, -1e300, 1e300, np.inf, -np.inf]
    with np.errstate(over="ignore"):
        return np.vstack([X, rng.choice(ends, (80, X.shape[1])).astype(X.dtype)])


@pytest.mark.fast(4)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_sums_and_labels_are_those_of_the_library(name: str, form: str, n_classes: int) -> None:
    """Also the last bit of each sum: so even ties are decided as the library does."""
    for seed in range(3):
        model, X, _ = trained(name, form, n_classes, seed)
        X, trees = asked(model, X, seed), tree_ensemble(model)
        assert trees is not None
        sums = trees.sums(X)
        np.testing.assert_array_equal(sums, model.decision_function(X).reshape(len(X), -1))
        codes = (sums[:, 0] > cut(model)).astype(int) if n_classes == 2 else sums.argmax(axis=1)
        assert model.classes_[codes].tolist() == model.predict(X).tolist()


def cells_of(X: np.ndarray, y: np.ndarray) -> AnnData:
    obs = pd.DataFrame({"type": y, "cluster": np.where(np.arange(len(X)) < 9, "c0", "c1")})
    obs.index = [f"x{i}" for i in range(len(X))]
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(X.shape[1])]))


@pytest.mark.fast("whole-2-deep")
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_every_query_is_answered_as_by_full_prediction(form: str, n_classes: int, name: str) -> None:
    model, X, y = trained(name, form, n_classes)
    scorer = check_scorer_law(wrap(model), cells_of(X, y), groupby="cluster", target="c0", games=2, moves=8)
    assert isinstance(scorer, TreeScorer)
    assert scorer.moves(np.arange(6), np.ones((1, 6), dtype=X.dtype)) is not None


def test_trees_behind_a_selection_of_genes() -> None:
    model, X, y = trained("deep", "rounded", 3)
    pipeline = make_pipeline(SelectKBest(k=3), model).fit(X, y)
    scorer = check_scorer_law(wrap(pipeline), cells_of(X, y), groupby="cluster", target="c0", games=2, moves=8)
    assert isinstance(scorer, TreeScorer)
    assert scorer.reads(np.arange(6)).sum() <= 3


def test_a_sum_of_zero_is_the_first_class() -> None:
    """As in scikit-learn, which calls it the second class in ``GradientBoostingClassifier``."""
    X, y = np.zeros((40, 2)), np.array(["a", "b"] * 20)
    model = HistGradientBoostingClassifier(max_iter=2).fit(X, y)
    assert model.decision_function(X[:1])[0] == 0.0
    assert model.predict(X[:1])[0] == "a"
    adata = cells_of(X, y)
    classifier = wrap(model)
    assert classifier.scorer(Cluster(adata, "cluster", "c0")).baseline.label == "a"
    plain = classifier.plain(Cluster(adata, "cluster", "c0"))
    assert plain is not None
    assert plain.cut == 0.0
    assert not plain.single


def test_huge_values_are_answered_and_not_refused() -> None:
    model, X, y = trained("deep", "rounded", 3)
    scorer = wrap(model).scorer(Cluster(cells_of(X, y), "cluster", "c0"))
    assert isinstance(scorer, TreeScorer)
    answers = scorer.each(np.arange(6), np.full((1, 6), 1e300))
    assert not answers.rejected.any()
    for j in range(6):
        changed = X[:9].copy()
        changed[:, j] = 1e300
        labels, counts = np.unique(model.predict(changed), return_counts=True)
        assert answers.label[j] == labels[counts.argmax()]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_trees_that_met_missing_values_in_training(n_classes: int) -> None:
    """The data that are attacked hold none: there, a split by what is missing sends all cells one way."""
    model, X, y = trained("deep", "rounded", n_classes)
    X = np.asarray(X, dtype=float)
    gaps = X.copy()
    gaps[np.random.default_rng(0).random(X.shape) < 0.3] = np.nan
    model = model.fit(gaps, y)
    trees = tree_ensemble(model)
    assert trees is not None
    np.testing.assert_array_equal(trees.sums(X), model.decision_function(X).reshape(len(X), -1))
    scorer = check_scorer_law(wrap(model), cells_of(X, y), groupby="cluster", target="c0", games=2, moves=8)
    assert isinstance(scorer, TreeScorer)


def test_trees_that_split_by_category_are_re_predicted() -> None:
    model, X, y = trained("deep", "whole", 3, categorical_features=[2, 4])
    assert tree_ensemble(model) is None
    scorer = check_scorer_law(wrap(model), cells_of(X, y), groupby="cluster", target="c0", games=1, moves=5)
    assert type(scorer) is GeneralScorer
