from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adverscarial.classifiers import Classifier, Markers, wrap
from adverscarial.classifiers.callables import CellFunction, ClusterFunction
from adverscarial.classifiers.estimators import Estimator
from adverscarial.errors import ParameterError


def of_cells(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 1, "high", "low")


def of_clusters(expression: Any, clusters: Any, target: str) -> tuple[str, float]:
    return "x", 1.0


class Model:
    def __call__(self, X: np.ndarray) -> np.ndarray:
        return of_cells(X)

    def of_clusters(self, expression: Any, clusters: Any, target: str) -> tuple[str, float]:
        return "x", 1.0


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(np.eye(4), ["a", "a", "b", "b"])


def test_a_classifier_is_returned_as_it_is() -> None:
    model = Markers({"x": ["A"]})
    assert wrap(model) is model
    assert wrap(wrap(of_cells)).function is of_cells  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("obj", "kind"),
    [
        (of_cells, CellFunction),
        (Model(), CellFunction),
        (lambda X, threshold=1, other=2: of_cells(X), CellFunction),  # three arguments, one must be given
        (lambda X, *, verbose=False: of_cells(X), CellFunction),
        (lambda *anything: of_cells(anything[0]), CellFunction),
        (functools.partial(np.argmax, axis=1), CellFunction),
        (np.mean, CellFunction),
        (fitted().predict, CellFunction),
        (of_clusters, ClusterFunction),
        (Model().of_clusters, ClusterFunction),
        (lambda e, c, t, verbose=False: "x", ClusterFunction),
        (functools.partial(lambda level, e, c, t: "x", 3), ClusterFunction),
        (fitted(), Estimator),
        (make_pipeline(StandardScaler(), LogisticRegression()).fit(np.eye(4), [0, 0, 1, 1]), Estimator),
    ],
)
def test_what_an_object_is_taken_for(obj: Any, kind: type[Classifier]) -> None:
    assert type(wrap(obj)) is kind


def test_classes_and_genes_are_passed_on() -> None:
    model = wrap(lambda X: X, classes=["x", "y"], genes=["A", "B"])
    assert (model.classes, list(model.genes)) == (("x", "y"), ["A", "B"])
    estimator = wrap(fitted(), classes=["x", "y"], genes=list("ABCD"))
    assert (estimator.classes, list(estimator.genes)) == (("x", "y"), list("ABCD"))


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        (LogisticRegression, "the class LogisticRegression itself; pass a fitted object"),
        (Markers, "the class Markers itself"),
        (LogisticRegression(), "not a fitted classifier"),
        (5, "cannot use a int: pass a fitted"),
        ("random_forest", "cannot use a str"),
        (None, "cannot use a NoneType"),
        ([of_cells], "cannot use a list"),
    ],
)
def test_what_cannot_label_cells_is_refused(obj: Any, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        wrap(obj)


def test_settings_that_an_object_cannot_use_are_refused() -> None:
    """Silently dropping them would leave a user with another classifier than was asked for."""
    with pytest.raises(ParameterError, match=r"leave out classes= and genes="):
        wrap(Markers({"x": ["A"]}), classes=["x"])
    with pytest.raises(ParameterError, match=r"leave out classes= and genes="):
        wrap(of_clusters, genes=["A"])
