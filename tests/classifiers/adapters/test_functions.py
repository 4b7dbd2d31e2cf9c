from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.special import softmax
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import wrap
from adverscarial.classifiers.adapters.functions import CellFunction, ClusterFunction, ClusterFunctionScorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import ClassifierError, InputRejected

GENES = list("abcde")
W = np.array([[1.0, -1, 0], [0, 1, -1], [-1, 0, 1], [0, 0, 0], [0.5, 0.5, -2]])


def cells(dtype: type = np.float64) -> AnnData:
    X = np.random.default_rng(0).gamma(0.8, 2, size=(21, 5)).astype(dtype)
    clusters = [f"c{i % 2}" for i in range(20)] + ["lone"]
    obs = pd.DataFrame({"cluster": clusters}, index=[f"cell{i}" for i in range(21)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


def probabilities(X: np.ndarray) -> np.ndarray:
    return softmax(X.astype(np.float64) @ W, axis=1)


def names(X: np.ndarray) -> np.ndarray:
    return np.array(["x", "y", "z"])[(X.astype(np.float64) @ W).argmax(axis=1)]


# ---- functions of cells

FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": names,
    "list": lambda X: names(X).tolist(),
    "series": lambda X: pd.Series(names(X), index=[f"row{i}" for i in range(len(X))]),
    "categorical": lambda X: pd.Categorical(names(X)),
    "column": lambda X: names(X)[:, None],
    "scores": probabilities,
    "frame": lambda X: pd.DataFrame(probabilities(X), columns=["x", "y", "z"]),
}


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_form_labels_alike_and_obeys_the_law(form: str, dtype: type) -> None:
    adata = cells(dtype)
    model = wrap(FORMS[form], classes=["x", "y", "z"] if form == "scores" else None)
    assert isinstance(model, CellFunction)
    np.testing.assert_array_equal(model.predict(adata), names(adata.X))
    for target in ("c0", "lone"):
        # a product of matrices rounds otherwise in a batch of several queries
        scorer = check_scorer_law(model, adata, groupby="cluster", target=target, games=3, rounding_ties=True)
        assert isinstance(scorer, GeneralScorer)


def test_scores_are_kept_and_labels_have_none() -> None:
    adata = cells()
    scores = wrap(probabilities, classes=["x", "y", "z"]).scores(adata)
    np.testing.assert_array_equal(scores, probabilities(adata.X))
    assert list(scores.columns) == ["x", "y", "z"]
    assert list(wrap(FORMS["frame"]).scores(adata).columns) == ["x", "y", "z"]
    with pytest.raises(ClassifierError, match="labels only"):
        wrap(names).scores(adata)


@pytest.mark.parametrize(
    ("given", "kept"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int64", "float64")]
)
def test_scores_keep_what_they_are_rounded_to(given: str, kept: str) -> None:
    model = wrap(lambda X: np.ones((len(X), 2), dtype=given), classes=["x", "y"])
    assert model.decide(cells().X).scores.dtype == kept


def test_rounding_of_float32_is_no_gradient() -> None:
    """A network of float32 answers a unit in the last place more or less; CGD must not climb on that."""

    def jitter(X: np.ndarray) -> np.ndarray:
        scores = np.tile(np.array([0.6, 0.4], dtype=np.float32), (len(X), 1))
        scores[:, 1] = np.where(X[:, 0] > 3, np.nextafter(scores[:, 1], np.float32(1)), scores[:, 1])
        return scores

    attack = adv.attacks.ClusterGradientDescent(10, 10, genes=["a"])
    common = {"groupby": "cluster", "target": "c0"}
    in_double = wrap(lambda X: jitter(X).astype(np.float64), classes=["x", "y"])
    assert attack(cells(), in_double, **common).modified_genes == ["a"]
    assert attack(cells(), wrap(jitter, classes=["x", "y"]), **common).modified_genes == []


def test_a_tie_of_scores_goes_to_the_first_column() -> None:
    model = wrap(lambda X: np.ones((len(X), 3)), classes=["z", "y", "x"])
    assert set(model.predict(cells())) == {"z"}


def test_columns_of_a_frame_count_by_name() -> None:
    """Also when their order changes from one query to the next."""
    orders = iter([["x", "y", "z"], ["z", "x", "y"], ["y", "z", "x"]])

    def shuffled(X: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(probabilities(X), columns=["x", "y", "z"])[next(orders)]

    model, adata = wrap(shuffled), cells()
    for _ in range(3):
        np.testing.assert_array_equal(model.scores(adata)[["x", "y", "z"]], probabilities(adata.X))


def test_genes_are_given_in_the_order_asked_for() -> None:
    seen = []

    def first(X: np.ndarray) -> np.ndarray:
        seen.append(X.copy())
        return np.where(X[:, 0] > 1, "high", "low")

    adata = cells()
    labels = wrap(first, genes=["e", "b"]).predict(adata)
    np.testing.assert_array_equal(seen[0], adata.X[:, [4, 1]])
    np.testing.assert_array_equal(labels == "high", adata.X[:, 4] > 1)


@pytest.mark.parametrize("label", ["Node3", "Unassigned", np.nan, None])
def test_labels_that_mean_i_do_not_know_are_labels(label: Any) -> None:
    """They win votes, but ``change_type="named"`` does not count them."""

    def doubtful(X: np.ndarray) -> list[Any]:
        return [label if value > 10 else "x" for value in X[:, 0]]

    adata = cells()
    attack = {"groupby": "cluster", "target": "c0"}
    found = adv.attacks.SingleGene("fixed:20")(adata, doubtful, **attack)
    assert (found.genes, found.label) == (["a"], str(label))
    assert adv.attacks.SingleGene("fixed:20", change_type="named")(adata, doubtful, **attack).genes == []
    changed = adv.modify(adata, ["a"], "fixed:20", groupby="cluster", target="c0")
    assert adv.predict(changed, doubtful, groupby="cluster", target="c0").label == str(label)


def test_whole_numbers_are_labels() -> None:
    assert set(wrap(lambda X: (X[:, 0] > 1).astype(int)).predict(cells())) == {"0", "1"}


@pytest.mark.parametrize(
    ("function", "classes", "says"),
    [
        (lambda X: names(X)[:-1], None, r"returned shape \(20,\) for 21 cells"),
        (lambda X: None, None, "returned nothing; expected labels or scores"),
        (lambda X: np.zeros((len(X), 2, 2)), None, r"shape \(21, 2, 2\)"),
        (lambda X: [[1.0], [1.0, 2.0]] * 10 + [[1.0]], None, "different lengths"),
        (probabilities, None, r"3 score columns; name them with wrap\(f, classes="),
        (probabilities, ["x", "y"], "3 score columns for 2 classes"),
        (lambda X: np.full((len(X), 2), np.nan), ["x", "y"], "NaN for 42 of 42 scores"),
        (lambda X: np.full((len(X), 2), "high"), ["x", "y"], "scores of type"),
        (names, ["x", "y"], "answered 'z', which is not among its classes"),
        (lambda X: 1 / 0, None, "failed with ZeroDivisionError"),
    ],
)
def test_answers_that_are_none_are_errors(
    function: Callable[[np.ndarray], Any], classes: list[str] | None, says: str
) -> None:
    with pytest.raises(ClassifierError, match=says):
        wrap(function, classes=classes).predict(cells())


def test_a_value_error_is_a_refusal() -> None:
    """On purpose, it seems: the outcome is *rejected*. Refusing the unmodified cells is an error."""

    def careful(X: np.ndarray) -> np.ndarray:
        if (X > 100).any():
            raise ValueError("counts above 100")
        return names(X)

    adata = cells()
    result = adv.attacks.SingleGene("fixed:1000", search="exact")(adata, careful, groupby="cluster", target="c0")
    assert result.counts == {"flipped": 0, "held": 0, "rejected": 5}
    check_scorer_law(wrap(careful), adata, groupby="cluster", target="c0", games=4)
    adata.X[0, 0] = 101
    with pytest.raises(ClassifierError, match=r"refuses even the unmodified cells of 'c0': .*counts above 100"):
        adv.attacks.SingleGene("fixed:1")(adata, careful, groupby="cluster", target="c0")


def test_a_function_that_writes_into_its_input_harms_nobody() -> None:
    def careless(X: np.ndarray) -> np.ndarray:
        X -= 1.0
        X[:, 3] = -5
        return names(X)

    adata = cells()
    before = adata.X.copy()
    check_scorer_law(wrap(careless), adata, groupby="cluster", target="c0", games=4)
    np.testing.assert_array_equal(adata.X, before)


def test_interrupting_a_function_is_no_answer() -> None:
    def tired(X: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wrap(tired).predict(cells())


# ---- functions of clusters


def rule(expression: pd.DataFrame, clusters: pd.Series, target: str) -> tuple[str, float]:
    mean = expression.loc[(clusters == target).to_numpy()].mean()
    everywhere = expression["b"].mean()
    return ("x" if mean["a"] > everywhere else "y" if mean["c"] > 2 else "NA"), float((mean > 1).mean())


CLUSTER_FORMS: dict[str, Callable[..., Any]] = {
    "tuple": rule,
    "list": lambda expression, clusters, target: list(rule(expression, clusters, target)),
    "dict": lambda expression, clusters, target: dict(
        zip(("prediction", "odd"), rule(expression, clusters, target), strict=True)
    ),
    "label": lambda expression, clusters, target: rule(expression, clusters, target)[0],
    "dict without odd": lambda e, clusters, target: {"prediction": rule(e, clusters, target)[0], "typePredictions": []},
}


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", CLUSTER_FORMS)
def test_the_r_form_in_every_spelling(form: str) -> None:
    adata = cells()
    model = wrap(CLUSTER_FORMS[form])
    assert isinstance(model, ClusterFunction)
    label, share = rule(adata.to_df(), adata.obs["cluster"], "c0")
    found = adv.predict(adata, CLUSTER_FORMS[form], groupby="cluster", target="c0")
    assert (found.label, found.share, found.votes) == (label, share if form in ("tuple", "list", "dict") else 1.0, {})
    for target in ("c0", "lone"):
        scorer = check_scorer_law(model, adata, groupby="cluster", target=target, games=3)
        assert isinstance(scorer, ClusterFunctionScorer)
        assert not scorer.incremental


def test_the_r_form_gets_the_whole_data_set() -> None:
    seen: list[tuple[Any, ...]] = []

    def watching(expression: pd.DataFrame, clusters: pd.Series, target: str) -> str:
        seen.append((expression.copy(), clusters.copy(), target))
        expression.iloc[:, :] = 0  # what it does to its input is its own affair
        clusters[:] = "none"
        return "x"

    adata = cells()
    adata.layers["other"] = adata.X + 1
    adv.predict(adata, watching, groupby="cluster", target="c1", layer="other")
    scorer = wrap(watching).scorer(Cluster(adata, "cluster", "c1"))
    scorer.together(np.array([2]), np.array([[7.0]]))
    changed = adata.to_df().copy()
    changed.loc[(adata.obs["cluster"] == "c1").to_numpy(), "c"] = 7.0
    for (expression, clusters, target), wanted in zip(seen, (adata.to_df() + 1, adata.to_df(), changed), strict=True):
        np.testing.assert_array_equal(expression, wanted)
        assert list(expression.columns) == GENES
        assert clusters.tolist() == adata.obs["cluster"].tolist()
        assert target == "c1"
    assert adata.obs["cluster"].nunique() == 3


@pytest.mark.parametrize("nothing", [None, np.nan, "NA", ("NA", 0.5)])
def test_the_r_form_may_not_know(nothing: Any) -> None:
    label = adv.predict(cells(), lambda e, c, t: nothing, groupby="cluster", target="c0").label
    assert not adv.classifiers.answers.is_named(label)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (3, "returned a int; expected a label"),
        (("x", 0.5, 1), "returned 3 values"),
        ({"label": "x"}, "returned the keys 'label'; expected 'prediction'"),
        (("x", "many"), "share 'many'; expected a number"),
        (("x", np.nan), "NaN as its share"),
    ],
)
def test_nonsense_of_the_r_form_is_an_error(answer: Any, says: str) -> None:
    with pytest.raises(ClassifierError, match=says):
        adv.predict(cells(), lambda e, c, t: answer, groupby="cluster", target="c0")


def test_the_r_form_labels_clusters_only() -> None:
    model = wrap(rule)
    for use in (model.predict, model.scores):
        with pytest.raises(ClassifierError, match=r"scores|labels whole clusters; use adverscarial.predict"):
            use(cells())


def test_a_refused_change_of_the_r_form_is_not_accepted() -> None:
    def careful(expression: pd.DataFrame, clusters: pd.Series, target: str) -> tuple[str, float]:
        if (expression.to_numpy() > 100).any():
            raise ValueError("counts above 100")
        return rule(expression, clusters, target)

    scorer = wrap(careful).scorer(Cluster(cells(), "cluster", "c0"))
    before = scorer.baseline
    with pytest.raises(InputRejected):
        scorer.accept(np.array([0]), np.array([[1000.0]]))
    assert scorer.baseline is before
    assert not scorer.together(np.array([1]), np.array([[1.0]])).rejected
    check_scorer_law(wrap(careful), cells(), groupby="cluster", target="c0", games=4)


def test_names_and_reprs() -> None:
    assert wrap(names).name == "names"
    assert wrap(rule).name == "rule"
    again = eval(repr(wrap(probabilities, classes=["x", "y", "z"], genes=GENES)), {"wrap": wrap, **globals()})
    assert (again.function, again.classes, list(again.genes)) == (probabilities, ("x", "y", "z"), GENES)
    assert eval(repr(wrap(rule)), {"wrap": wrap, **globals()}).function is rule
