"""Credits of boosted trees of other packages, judged by their own predictions for all sets of genes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from adverscarial.classifiers.adapters.boosting import Boosted
from adverscarial.classifiers.adapters.linear_parts import sums_link
from adverscarial.classifiers.adapters.scikit_trees import cut, tree_ensemble
from adverscarial.classifiers.scorers.trees import TreeScorer
from attacks.minimal.brute import Case, cases, check_flips, names, subsets, tight

Predict = Callable[[np.ndarray], np.ndarray]
CASES = cases(30)
PACKAGES = ("xgboost", "lightgbm", "scikit-learn")


def of_package(
    package: str, train: np.ndarray, kinds: np.ndarray, X: np.ndarray, labels: np.ndarray, **settings: Any
) -> tuple[TreeScorer, Predict]:
    """The scorer of a model of XGBoost or LightGBM, and the package's own labels of cells."""
    module, columns = pytest.importorskip(package), np.arange(X.shape[1])
    if package == "xgboost":
        model = module.XGBClassifier(**settings, n_jobs=1).fit(train, kinds)
    else:
        model = module.LGBMClassifier(**settings, min_child_samples=3, n_jobs=1, verbose=-1).fit(train, kinds)
    boosted = Boosted(model, classes=list(labels), genes=[f"G{j}" for j in columns])
    trees = boosted._model.trees
    assert trees is not None
    scorer = TreeScorer(trees, X, columns, len(columns), list(labels), link=boosted._model.link)
    return scorer, lambda cells: np.asarray(boosted.decide(cells).labels)


def by_histograms(
    train: np.ndarray, kinds: np.ndarray, X: np.ndarray, labels: np.ndarray, **settings: Any
) -> tuple[TreeScorer, Predict]:
    """The same of scikit-learn's boosting by histograms."""
    model = HistGradientBoostingClassifier(**settings, early_stopping=False).fit(train, kinds)
    trees, columns = tree_ensemble(model), np.arange(X.shape[1])
    assert trees is not None
    link = sums_link("predict_proba")
    scorer = TreeScorer(trees, X, columns, len(columns), list(labels), link=link, cut=cut(model))
    return scorer, lambda cells: labels[model.predict(cells)].astype(object)


def boosted_case(package: str, seed: int) -> Case:
    """A few shallow trees, trained on whole numbers, so that values lie on both sides of the same thresholds."""
    rng = np.random.default_rng(seed)
    n_cells, n_genes, n_labels = int(rng.integers(1, 6)), int(rng.integers(3, 7)), int(rng.integers(2, 5))
    train = rng.integers(0, 5, (60, n_genes)).astype(float)
    kinds = np.argmax(train[:, :n_labels] if n_labels <= n_genes else np.hstack([train, train[:, :1]]), axis=1)
    kinds[:n_labels] = np.arange(n_labels)
    rounds, depth = int(rng.integers(2, 7)), int(rng.integers(2, 5))
    labels = names(n_labels, rng)
    X, new = (rng.integers(-1, 6, (n_cells, n_genes)).astype(float) for _ in range(2))
    settings = {"max_depth": depth, "learning_rate": 0.5, "random_state": seed}
    if package == "scikit-learn":
        scorer, predicted = by_histograms(train, kinds, X, labels, max_iter=rounds, min_samples_leaf=3, **settings)
    else:
        scorer, predicted = of_package(package, train, kinds, X, labels, n_estimators=rounds, **settings)
    genes = np.flatnonzero(scorer.reads(np.arange(n_genes)))
    sets = subsets(len(genes))
    changed = np.repeat(X[None], len(sets), axis=0)
    for place, chosen in enumerate(sets):
        changed[place][:, genes[chosen]] = new[:, genes[chosen]]
    answers = predicted(changed.reshape(-1, n_genes)).reshape(len(sets), n_cells)
    codes = np.argmax(answers[:, :, None] == labels.astype(object), axis=2)
    return Case(scorer.moves(genes, new[:, genes]), labels, codes, np.array([len(chosen) for chosen in sets]))


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("named", [False, True])
def test_intervals_of_flips_hold_the_truth(package: str, named: bool) -> None:
    tallies = [check_flips(boosted_case(package, seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.6
