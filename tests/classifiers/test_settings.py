"""Settings follow scikit-learn's contract: kept as they are given, checked when a classifier is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from adverscarial.classifiers import (
    MLP,
    Chetah,
    Classifier,
    Decision,
    Markers,
    RandomForest,
    ScAnnotatR,
    ScType,
    SingleR,
    wrap,
)
from adverscarial.errors import ParameterError

SETTINGS: list[tuple[type[Classifier], dict[str, Any]]] = [
    (RandomForest, {"n_estimators": 7, "balance": None, "seed": 3}),
    (Markers, {"markers": {"B": ["CD79A"], "T": ["CD3D"]}, "n_markers": 4}),
    (Markers, {"n_markers": 4, "unknown_below": 0.5}),
    (ScType, {"markers": {"B": ["CD79A"], "T": ["CD3D"]}, "scaled": False}),
    (Chetah, {"n_genes": np.int64(50), "threshold": 1}),
    (ScAnnotatR, {"n_markers": 5, "markers": {"B": ["CD79A"]}, "parents": {"B": "T"}}),
    (SingleR, {"num_de": 5, "quantile": 0.7}),
    (MLP, {"hidden": [8, 4], "epochs": 2, "seed": 1}),
]


@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_a_clone_has_the_same_settings(kind: type[Classifier], settings: dict[str, Any]) -> None:
    model = kind(**settings)
    copied = clone(model)
    assert type(copied) is kind
    assert copied.get_params() == model.get_params()
    assert {name: copied.get_params()[name] for name in settings} == settings
    assert all(model.get_params()[name] is value for name, value in settings.items())  # as scikit-learn demands


@pytest.mark.parametrize("kind", [RandomForest, Markers, Chetah, ScAnnotatR, SingleR, MLP])
def test_defaults_can_be_cloned(kind: type[Classifier]) -> None:
    assert clone(kind()).get_params() == kind().get_params()


def test_a_clone_is_not_trained(pbmc_small: AnnData) -> None:
    cells = pbmc_small[:, :40].copy()
    model = RandomForest(5, balance=20).fit(cells, "cell_type")
    assert clone(model).classes == ()
    assert clone(model).fit(cells, "cell_type").predict(cells).equals(model.predict(cells))


def test_settings_can_be_changed() -> None:
    model = RandomForest().set_params(n_estimators=3, seed=5)
    assert (model.n_estimators, model.seed) == (3, 5)
    with pytest.raises(ParameterError, match=r"no setting 'n_estimator'. Did you mean 'n_estimators'"):
        model.set_params(n_estimator=3)
    changed = Markers({"B": ["CD79A"]}).set_params(markers={"T": ["CD3D"]})
    assert changed.classes == ("T",)


def test_a_classifier_of_one_s_own_shows_its_settings() -> None:
    class Near(Classifier):
        classes, genes = ("a", "b"), None

        def __init__(self, scale: float = 1.0, centres: object = None) -> None:
            self.scale, self.centres = scale, centres

        def decide(self, X: np.ndarray) -> Decision:
            return Decision(np.full(len(X), "a", dtype=object), None)

    assert repr(Near(2.0)) == "Near(scale=2.0, centres=None)"
    assert len(repr(Near(centres=np.arange(1000)))) < 120


BAD: list[tuple[Classifier, str]] = [
    (RandomForest(0), "n_estimators must be at least 1, got 0"),
    (Markers(n_markers=0), "n_markers must be at least 1, got 0"),
    (Chetah(1), "n_genes must be a whole number from 2 up"),
    (Chetah(threshold=float("nan")), "threshold must be a number"),
    (ScAnnotatR(threshold=2), "threshold is a probability"),
    (SingleR(quantile=2), "quantile must be between 0 and 1"),
]


@pytest.mark.parametrize(("model", "says"), BAD)
def test_impossible_settings_are_refused_when_it_is_trained(pbmc_small: AnnData, model: Classifier, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        model.fit(pbmc_small, "cell_type")


def test_a_wrapped_estimator_can_be_cloned_and_trained_again() -> None:
    model = wrap(LogisticRegression().fit(np.eye(4), ["a", "a", "b", "b"]))
    assert clone(model) is not model
    assert clone(model).classes == ("a", "b")


def test_a_subclass_has_no_family_unless_it_names_one(pbmc_small: AnnData) -> None:
    class Other(Markers):
        """Answers differently, so a file of the name 'markers' would not bring it back."""

    assert Other.family is None
    assert Markers.family == "markers"
