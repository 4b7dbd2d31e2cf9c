"""Logistic regression with small weights, values that are clipped, and trees that see few genes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.classifiers import Classifier, Clipped, Linear, Markers, RandomForest, load
from adverscarial.errors import ClassifierError, ParameterError

WHERE = {"groupby": "cell_type", "target": "Dendritic"}


@pytest.fixture(scope="module")
def halves(pbmc_small: AnnData) -> tuple[AnnData, AnnData]:
    scaled = adv.datasets.preprocess(pbmc_small, target_sum=None)
    train, test = adv.datasets.split(scaled, "cell_type", seed=0)
    return train, test


@pytest.fixture(scope="module")
def models(halves: tuple[AnnData, AnnData]) -> dict[str, Classifier]:
    given: dict[str, Classifier] = {
        "linear": Linear(),
        "clipped linear": Clipped(Linear(0.1)),
        "robust linear": Clipped(Linear(1.0, against=5)),
        "clipped markers": Clipped(Markers(n_markers=30), 2),
        "clipped forest": Clipped(RandomForest(10, seed=0)),
        "few genes": RandomForest(40, genes_per_tree=15, seed=0),
    }  # fmt: skip
    return {name: clone(model, safe=False).fit(halves[0], "cell_type") for name, model in given.items()}


NAMES = ["linear", "clipped linear", "robust linear", "clipped markers", "clipped forest", "few genes"]


@pytest.mark.fast("linear", "few genes")
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_a_full_prediction(
    name: str, models: dict[str, Classifier], halves: tuple[AnnData, AnnData]
) -> None:
    check_scorer_law(models[name], halves[1], **WHERE, games=2, moves=6, rounding_ties=True)


@pytest.mark.parametrize("name", NAMES)
def test_they_come_back_from_a_file(
    name: str, models: dict[str, Classifier], halves: tuple[AnnData, AnnData], tmp_path: Path
) -> None:
    models[name].save(tmp_path / "model.npz")
    back = load(tmp_path / "model.npz")
    assert type(back) is type(models[name])
    assert back.name == models[name].name
    assert back.predict(halves[1]).equals(models[name].predict(halves[1]))


@pytest.mark.parametrize("types", [2, 5])
def test_linear_is_logistic_regression(types: int, halves: tuple[AnnData, AnnData]) -> None:
    train, test = halves
    names = sorted(set(train.obs["cell_type"]))[:types]
    train, test = (part[part.obs["cell_type"].isin(names).to_numpy()].copy() for part in halves)
    fitted = LogisticRegression(C=2 / train.n_obs, max_iter=300, class_weight="balanced")
    fitted.fit(np.asarray(train.X, dtype=np.float64), train.obs["cell_type"].astype(str))
    model = Linear(2).fit(train, "cell_type")
    assert (model.predict(test) == fitted.predict(np.asarray(test.X, dtype=np.float64))).all()
    expected = fitted.predict_log_proba(np.asarray(test.X, dtype=np.float64))
    scores = model.logits(np.asarray(test.X, dtype=np.float64))
    found = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_no_value_beyond_the_limit_is_read_or_learnt(
    models: dict[str, Classifier], halves: tuple[AnnData, AnnData]
) -> None:
    train, test = halves
    limited, model = test.copy(), models["clipped linear"]
    limited.X = np.clip(test.X, -1, 1)
    assert model.predict(test).equals(model.predict(limited))
    cut = train.copy()
    cut.X = np.clip(train.X, -1, 1)
    assert Linear(0.1).fit(cut, "cell_type").predict(limited).equals(model.predict(test))
    assert float(np.abs(train.X).max()) > 1  # the cells that were given stay as they were


@pytest.mark.slow
def test_each_tree_sees_few_genes(models: dict[str, Classifier], halves: tuple[AnnData, AnnData]) -> None:
    few = models["few genes"]
    assert isinstance(few, RandomForest)
    trees = few.trees
    ends = np.append(np.sort(trees.roots), len(trees.feature))
    seen = [set(trees.feature[a:b][trees.feature[a:b] >= 0]) for a, b in pairwise(ends)]
    assert max(map(len, seen)) <= 15
    assert len(set.union(*seen)) > 100
    again = clone(few, safe=False).fit(halves[0], "cell_type")
    assert all((a == b).all() for a, b in zip(trees.arrays().values(), again.trees.arrays().values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["perc1", "perc99"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Linear(), Clipped(Linear(0.1))),
        (Linear(), Clipped(Linear(against=10))),
        (Markers(), Clipped(Markers(n_markers=100), 3)),
    ],
)
def test_more_genes_are_needed(
    before: Classifier, after: Classifier, change: str, halves: tuple[AnnData, AnnData]
) -> None:
    train, test = halves
    needed = []
    for settings in (before, after):
        model = clone(settings, safe=False).fit(train, "cell_type")
        obs = adv.fragility(test, model, modification=change, copy=True, progress=False).obs
        assert (obs["fragility_lower"] == obs["fragility_upper"]).all()  # of weighted sums nothing is left open
        needed.append(obs["fragility_lower"].median())
    assert needed[1] > 1.2 * needed[0]


def test_impossible_settings(halves: tuple[AnnData, AnnData]) -> None:
    train, _ = halves
    for model, text in (
        (Linear(0.0), "strength must be a number above 0"),
        (Linear(max_iter=0), "max_iter at least 1"),
        (Linear(against=-1), "against must be a whole number of genes"),
        (Clipped(Linear(), limit=-1), "limit must be a number above 0"),
        (Clipped(Linear(), limit="1"), "limit must be a number above 0, got '1'"),
        (RandomForest(5, genes_per_tree=0), "genes_per_tree must be a whole number"),
    ):
        with pytest.raises(ParameterError, match=text):
            model.fit(train, "cell_type")
    with pytest.raises(ClassifierError, match="not trained yet"):
        Linear().predict(train)
