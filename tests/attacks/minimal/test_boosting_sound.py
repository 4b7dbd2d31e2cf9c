"""Credits of trees that XGBoost and LightGBM grew, judged by their own predictions for all sets of genes."""

from __future__ import annotations

import numpy as np
import pytest

from adverscarial.classifiers.adapters.boosting import Boosted
from adverscarial.classifiers.scorers.trees import TreeScorer
from attacks.minimal.brute import Case, cases, check_flips, names, subsets, tight

CASES = cases(30)
PACKAGES = ("xgboost", "lightgbm")


def boosted_case(package: str, seed: int) -> Case:
    """A few shallow trees, trained on whole numbers, so that values lie on both sides of the same thresholds."""
    rng = np.random.default_rng(seed)
    n_cells, n_genes, n_labels = int(rng.integers(1, 6)), int(rng.integers(3, 7)), int(rng.integers(2, 5))
    train = rng.integers(0, 5, (60, n_genes)).astype(float)
    kinds = np.argmax(train[:, :n_labels] if n_labels <= n_genes else np.hstack([train, train[:, :1]]), axis=1)
    kinds[:n_labels] = np.arange(n_labels)
    settings = {"n_estimators": int(rng.integers(2, 7)), "max_depth": int(rng.integers(2, 5)), "n_jobs": 1}
    module = pytest.importorskip(package)
    if package == "xgboost":
        model = module.XGBClassifier(**settings, learning_rate=0.5, random_state=seed).fit(train, kinds)
    else:
        kind = module.LGBMClassifier(**settings, min_child_samples=3, learning_rate=0.5, verbose=-1, random_state=seed)
        model = kind.fit(train, kinds)
    labels = names(n_labels, rng)
    boosted = Boosted(model, classes=list(labels), genes=[f"G{j}" for j in range(n_genes)])
    X, new = (rng.integers(-1, 6, (n_cells, n_genes)).astype(float) for _ in range(2))
    trees = boosted._model.trees
    assert trees is not None
    scorer = TreeScorer(trees, X, np.arange(n_genes), n_genes, list(labels), link=boosted._model.link)
    genes = np.flatnonzero(scorer.reads(np.arange(n_genes)))
    sets = subsets(len(genes))
    changed = np.repeat(X[None], len(sets), axis=0)
    for place, chosen in enumerate(sets):
        changed[place][:, genes[chosen]] = new[:, genes[chosen]]
    answers = boosted.decide(changed.reshape(-1, n_genes)).labels.reshape(len(sets), n_cells)
    codes = np.argmax(answers[:, :, None] == labels.astype(object), axis=2)
    return Case(scorer.moves(genes, new[:, genes]), labels, codes, np.array([len(chosen) for chosen in sets]))


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("named", [False, True])
def test_intervals_of_flips_hold_the_truth(package: str, named: bool) -> None:
    tallies = [check_flips(boosted_case(package, seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.6
