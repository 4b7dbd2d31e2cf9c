from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adverscarial.attacks import ClusterGradientDescent, SingleGene
from adverscarial.classifiers import Classifier, Markers, check, wrap
from adverscarial.classifiers.adapters.functions import CellFunction, ClusterFunction
from adverscarial.classifiers.adapters.scikit_learn import Estimator
from adverscarial.errors import ClassifierError, ParameterError
from adverscarial.surveys.identity import identity


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


class Probable:
    """Another library's model: it has heard of no package of ours, and is no estimator."""

    def __init__(self) -> None:
        self.classes_ = np.array(["A", "B"])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(np.asarray(X)[:, 1] - np.asarray(X)[:, 0]))
        return np.stack([p, 1 - p], axis=1)


class Callable(Probable):
    def __call__(self, X: np.ndarray) -> np.ndarray:
        raise AssertionError("it has classes_, so it is not asked as a function")

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class Named(Probable):
    feature_names_in_ = np.array(["g2", "g0"])

    def predict_proba(self, X: Any) -> np.ndarray:
        return super().predict_proba(X[["g2", "g0"]].to_numpy())


@pytest.fixture
def cells() -> AnnData:
    X = np.array([[3, 1, 0.0], [4, 2, 1], [0, 1, 5], [1, 0, 2]])
    obs = pd.DataFrame({"kind": ["A", "A", "B", "B"]}, index=[f"c{i}" for i in range(4)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2"]))


@pytest.mark.parametrize(
    ("model", "labels"), [(Probable(), "AABA"), (Callable(), "AABA"), (Named(), "BBAA")], ids=lambda v: type(v).__name__
)  # fmt: skip
def test_an_object_with_classes_and_probabilities_is_taken_as_it_is(cells: AnnData, model: Any, labels: str) -> None:
    wrapped = wrap(model)
    assert isinstance(wrapped, Estimator)
    assert "".join(wrapped.predict(cells)) == labels
    X = cells.to_df() if isinstance(model, Named) else cells.X
    np.testing.assert_allclose(wrapped.scores(cells), model.predict_proba(X))
    found = SingleGene("fixed:9", search="exact")(cells, model, groupby="kind", target="A")
    assert found.genes == {"AABA": ["g1"], "BBAA": ["g2"]}[labels]
    with pytest.raises(ClassifierError, match="cannot be trained here"):
        wrapped.fit(cells, "kind")


@pytest.mark.parametrize("takes", ["frame", "adata"])
def test_functions_of_tables_and_of_anndata(cells: AnnData, takes: Any) -> None:
    seen = []

    def by_name(given: Any) -> Any:
        seen.append(type(given))
        values = given.to_df() if takes == "adata" else given
        return np.where(values["g0"] > values["g2"], "A", "B")

    model = wrap(by_name, takes=takes)
    assert model.predict(cells).tolist() == ["A", "A", "B", "B"]
    shuffled = cells[:, ["g2", "g1", "g0"]]
    assert model.predict(shuffled).tolist() == ["A", "A", "B", "B"]
    plain = wrap(lambda X: np.where(X[:, 0] > X[:, 2], "A", "B"))
    attack = SingleGene("fixed:0", search="exact")
    same = [attack(cells, one, groupby="kind", target="A").to_frame() for one in (model, plain)]
    pd.testing.assert_frame_equal(*same)
    assert same[0].query("outcome == 'flipped'")["gene"].tolist() == ["g0"]
    assert attack(shuffled, model, groupby="kind", target="A").genes == ["g0"]
    assert check(model, cells, groupby="kind")
    assert set(seen) == {AnnData if takes == "adata" else pd.DataFrame}
    two = wrap(by_name, takes=takes, genes=["g2", "g0"])
    assert two.predict(cells).tolist() == ["A", "A", "B", "B"]
    assert repr(two) == f"wrap(by_name, genes=['g2', 'g0'], takes='{takes}')"


@pytest.mark.parametrize("takes", ["frame", "adata"])
def test_scores_of_such_functions_learn_their_classes(cells: AnnData, takes: Any) -> None:
    def scores(given: Any) -> pd.DataFrame:
        values = given.to_df() if takes == "adata" else given
        return pd.DataFrame({"A": values["g0"], "B": values["g2"]})

    assert list(wrap(scores, takes=takes).scores(cells).columns) == ["A", "B"]
    attack = ClusterGradientDescent()
    results = [
        attack(cells, model, groupby="kind", target="A")
        for model in (wrap(scores, takes=takes), wrap(lambda X: X[:, [0, 2]], classes=["A", "B"]))
    ]
    pd.testing.assert_frame_equal(*(result.to_frame() for result in results))
    logged = wrap(scores, takes=takes, preprocess=np.log1p)
    assert logged.predict(cells).tolist() == ["A", "A", "B", "B"]


def test_functions_of_anndata_that_need_all_cells(cells: AnnData) -> None:
    """As scanpy's functions: they look across cells, and are given an AnnData."""

    def above_the_mean(adata: AnnData) -> np.ndarray:
        assert adata.n_obs == 4
        first = adata[:, "g0"].X.ravel()
        return np.where(first > first.mean(), "A", "B")

    model = wrap(above_the_mean, takes="adata", needs_all_cells=True)
    found = SingleGene("perc1", search="exact")(cells, model, groupby="kind", target="A")
    assert found.genes == ["g0"]
    assert found.verify(cells, model)


def test_forms_that_are_not_known(cells: AnnData) -> None:
    with pytest.raises(ParameterError, match=r"takes must be 'array', 'frame', 'adata', got 'anndata'\."):
        wrap(of_cells, takes="anndata")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"ClusterFunction, .* takes no takes="):
        wrap(of_clusters, takes="adata")
    with pytest.raises(ClassifierError, match="returned nothing; expected labels or scores"):
        wrap(lambda adata: adata.obs.insert(0, "label", "A"), takes="adata").predict(cells)
    with pytest.raises(ClassifierError, match="takes named genes"):
        wrap(of_cells, takes="frame").decide(np.eye(2))


def test_surveys_tell_such_functions_apart() -> None:
    """What a function is asked about decides its answers."""
    models = [wrap(of_cells), wrap(of_cells, takes="frame"), wrap(of_cells, needs_all_cells=True)]
    assert len({identity(model) for model in models}) == 3
    bound = models[1].bind(pd.Index(["g0"]))
    assert bound is models[1].bind(pd.Index(["g0"]))
    assert identity(wrap(of_cells, takes="frame")) == identity(models[1])


def test_settings_that_an_object_cannot_use_are_refused() -> None:
    """Silently dropping them would leave a user with another classifier than was asked for."""
    with pytest.raises(ParameterError, match=r"The classifier Markers takes no classes=: leave out classes="):
        wrap(Markers({"x": ["A"]}), classes=["x"])
    with pytest.raises(ParameterError, match=r"ClusterFunction, .* takes no genes=: leave out genes="):
        wrap(of_clusters, genes=["A"])
