"""What is impossible is refused in words, by every attack that it can be asked of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.attacks import (
    ClusterGradientDescent,
    FastGradientSign,
    Grid,
    MaxChange,
    ProjectedGradientDescent,
    RandomWalk,
    SingleGene,
)
from adverscarial.errors import ClassifierError, ParameterError

AB: dict[str, Any] = {"groupby": "cluster", "target": "a"}
GRADIENT = [ClusterGradientDescent, FastGradientSign, ProjectedGradientDescent]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    X = np.random.default_rng(0).normal(size=(20, 4))
    obs = pd.DataFrame({"cluster": ["a"] * 10 + ["b"] * 10}, index=[f"c{i}" for i in range(20)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(4)]))


@pytest.fixture(scope="module")
def linear(cells: AnnData) -> adv.classifiers.Classifier:
    return adv.classifiers.wrap(LogisticRegression().fit(cells.X, ["B", "T"] * 10), genes=list(cells.var_names))


@pytest.fixture(scope="module")
def forest(cells: AnnData) -> adv.classifiers.Classifier:
    fitted = RandomForestClassifier(5, random_state=0).fit(cells.X, ["B", "T"] * 10)
    return adv.classifiers.wrap(fitted, genes=list(cells.var_names))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, "1"])
@pytest.mark.parametrize("name", ["alpha", "epsilon"])
def test_steps_that_are_no_finite_number(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be a finite number, got {value!r}"):
        ClusterGradientDescent(**{name: value})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, "1", 0, -1])
@pytest.mark.parametrize("make", [FastGradientSign, ProjectedGradientDescent])
def test_balls_without_a_size(make, value):
    with pytest.raises(ParameterError, match=f"epsilon must be a positive number, in the units of .*got {value!r}"):
        make(value)


def test_steps_that_move_nothing():
    with pytest.raises(ParameterError, match=r"alpha and epsilon are both 0: no gene would move\. Set at least one"):
        ClusterGradientDescent(0, 0.0)


@pytest.mark.parametrize("make", GRADIENT)
def test_a_new_target_that_the_classifier_does_not_know(cells, linear, make):
    with pytest.raises(ParameterError, match=r"'NK'.* is no class of .*'B', 'T'"):
        make(1.0, genes=["g0"], new_target="NK")(cells, linear, **AB)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClusterGradientDescent(genes=[]), "genes= is empty; name at least one, or leave it out"),
        (lambda: Grid([]), "genes= is empty"),
        (lambda: RandomWalk([]), "genes= is empty"),
        (lambda: SingleGene("perc1", genes=[]), "No gene is left to attack: genes= is empty"),
        (lambda: MaxChange("perc1", genes=[]), "No gene is left to attack: genes= is empty"),
        (lambda: FastGradientSign(genes=[]), "No gene is left to attack: genes= is empty"),
        (lambda: ProjectedGradientDescent(1.0, genes=[]), "No gene is left to attack: genes= is empty"),
    ],
)
def test_no_gene_to_move(cells, linear, make, message):
    with pytest.raises(ParameterError, match=message):
        make()(cells, linear, **AB)


@pytest.mark.parametrize("make", [FastGradientSign, ProjectedGradientDescent])
def test_gradients_of_a_model_that_has_none(cells, forest, make):
    with pytest.raises(ClassifierError, match=r"has scores but no gradient\. Name the genes to attack with genes="):
        make(1.0)(cells, forest, **AB)
    assert make(1.0, genes=["g0", "g1"])(cells, forest, **AB).verify(cells, forest)


def test_a_gradient_asked_of_the_model_itself(cells, forest):
    with pytest.raises(ClassifierError, match="neither linear nor a network"):
        forest.gradient(np.asarray(cells.X), np.ones((20, 2)))


@pytest.mark.parametrize("make", GRADIENT)
def test_gradients_of_a_model_that_gives_labels_only(cells, make):
    with pytest.raises(ClassifierError, match=r"labels only.*SingleGene, MinChange"):
        make(1.0, genes=["g0"])(cells, lambda X: np.where(X[:, 0] > 0, "B", "T"), **AB)


@pytest.mark.parametrize("make", GRADIENT[1:])
@pytest.mark.parametrize("bound", [{"minimum": "a"}, {"maximum": float("nan")}])
def test_bounds_that_are_no_numbers(make, bound):
    with pytest.raises(ParameterError, match=f"{next(iter(bound))} must be a number, got"):
        make(1.0, **bound)


@pytest.mark.parametrize("settings", [{"genes": 5}, {"exclude_targets": 7}, {"alpha": True}])
def test_descents_with_impossible_settings_are_refused(settings):
    with pytest.raises(ParameterError, match=f"{next(iter(settings))} must"):
        ClusterGradientDescent(**settings)


@pytest.mark.parametrize("given", [pd.Index, np.array, pd.Series, tuple, set, iter], ids=lambda kind: kind.__name__)
def test_names_of_genes_may_come_in_any_collection(given, tmp_path):
    cells = adv.datasets.embedded()[:, :40].copy()
    model = adv.classifiers.Markers(n_markers=3).fit(cells, "cell_type")
    names = sorted(cells.var_names[:5])
    attack = adv.attacks.SingleGene("perc99", genes=given(names))
    result = attack(cells, model, groupby="cell_type", target="Dendritic")
    asked = adv.attacks.SingleGene("perc99", genes=names)(cells, model, groupby="cell_type", target="Dendritic")
    assert "5" in str(result)
    assert result.to_frame().equals(asked.to_frame())
    result.save(tmp_path / "result.npz")
    read = adv.attacks.Result.load(tmp_path / "result.npz")
    assert list(read.attack.genes) == names
    left = adv.attacks.MaxChange("perc99", exclude=given(names), restarts=1)
    assert "MaxChange" in repr(left)


def test_a_mask_with_names_is_taken_by_them():
    cells = adv.datasets.embedded()[:, :40].copy()
    model = adv.classifiers.Markers(n_markers=3).fit(cells, "cell_type")
    mask = pd.Series(np.arange(40) < 6, index=cells.var_names)
    asked = {"groupby": "cell_type", "target": "Dendritic"}
    attack = adv.attacks.SingleGene("perc99")
    genes = [set(attack(cells, model, mask_var=m, **asked).to_frame()["gene"]) for m in (mask, mask[::-1])]
    assert genes[0] == genes[1] == set(cells.var_names[:6])
    with pytest.raises(adv.errors.ParameterError, match="other genes"):
        attack(cells, model, mask_var=mask.rename(index={cells.var_names[0]: "?"}), **asked)


def test_numbers_of_numpy_are_settings_like_others(tmp_path):
    cells = adv.datasets.embedded()[:, :40].copy()
    model = adv.classifiers.Linear(strength=np.float32(1), against=np.int64(2)).fit(cells, "cell_type")
    model.save(tmp_path / "model.npz")
    assert adv.classifiers.load(tmp_path / "model.npz").get_params()["against"] == 2
    attack = adv.attacks.MaxChange("perc99", restarts=np.int64(1))
    result = attack(cells, model, groupby="cell_type", target="Dendritic")
    result.save(tmp_path / "result.npz")
    assert adv.attacks.Result.load(tmp_path / "result.npz").attack == adv.attacks.MaxChange("perc99", restarts=1)


@pytest.mark.parametrize("against", [float("nan"), 1.5, True, -1, "3", None])
def test_numbers_of_genes_must_be_whole(against):
    cells = adv.datasets.embedded()[:, :40].copy()
    with pytest.raises(ParameterError, match="against must be a whole number"):
        adv.classifiers.Linear(against=against).fit(cells, "cell_type")
    if against is not None:
        with pytest.raises(ParameterError, match="genes_per_tree must be a whole number"):
            adv.classifiers.RandomForest(3, genes_per_tree=against).fit(cells, "cell_type")
