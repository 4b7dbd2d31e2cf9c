from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.special import softmax
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from tests.classifiers.scorer_law import check_scorer_law

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import wrap
from adverscarial.classifiers.adapters.scikit_learn import Estimator
from adverscarial.classifiers.adapters.scikit_network import PerceptronScorer
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import ClassifierError, DataError, GeneMismatchError, ParameterError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*encountered in log1p:RuntimeWarning"),
]


def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=60)


def log1p() -> FunctionTransformer:
    return FunctionTransformer(np.log1p)


def k_best() -> SelectKBest:
    return SelectKBest(k=30)


def network(*units: int) -> MLPClassifier:
    return MLPClassifier(units or (8,), max_iter=60, random_state=0)


def shares(X: np.ndarray) -> np.ndarray:
    """Mix the genes of a cell, as a normalisation does."""
    return X / (1 + np.abs(X).sum(axis=1, keepdims=True))


#: what scikit-learn model is promised which scorer
LINEAR: dict[str, Callable[[], Any]] = {
    "logistic": logistic,
    "linear svc": LinearSVC,
    "sgd log": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "sgd hinge": lambda: SGDClassifier(loss="hinge", random_state=0),
    "sgd huber": lambda: SGDClassifier(loss="modified_huber", random_state=0),
    "perceptron": lambda: Perceptron(random_state=0),
    "ridge": RidgeClassifier,
    "lda": LinearDiscriminantAnalysis,
    "standard": lambda: make_pipeline(StandardScaler(), logistic()),
    "uncentred": lambda: make_pipeline(StandardScaler(with_mean=False), LinearSVC()),
    "unscaled": lambda: make_pipeline(StandardScaler(with_std=False), RidgeClassifier()),
    "min max": lambda: make_pipeline(MinMaxScaler((-1, 2)), logistic()),
    "max abs": lambda: make_pipeline(MaxAbsScaler(), logistic()),
    "robust": lambda: make_pipeline(RobustScaler(with_scaling=False), logistic()),
    "k best": lambda: make_pipeline(k_best(), logistic()),
    "pca": lambda: make_pipeline(StandardScaler(), PCA(8), logistic()),
    "svd": lambda: make_pipeline(k_best(), TruncatedSVD(8, random_state=0), LinearSVC()),
    "two mixings": lambda: make_pipeline(PCA(20), PCA(8), logistic()),
    "logarithm": lambda: make_pipeline(log1p(), logistic()),
    "identity": lambda: make_pipeline(FunctionTransformer(), "passthrough", logistic()),
    "log, then select": lambda: make_pipeline(log1p(), k_best(), StandardScaler(), logistic()),
    "select, then log": lambda: make_pipeline(k_best(), log1p(), StandardScaler(), logistic()),
    "select twice": lambda: make_pipeline(VarianceThreshold(0.05), StandardScaler(), k_best(), RidgeClassifier()),
}
TREES: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "shallow forest": lambda: RandomForestClassifier(8, max_depth=3, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(10, random_state=0),
    "tree": lambda: DecisionTreeClassifier(max_depth=6, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=0),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=4, max_depth=2, random_state=0),
    "select, then forest": lambda: make_pipeline(k_best(), RandomForestClassifier(10, random_state=0)),
}
NETWORKS: dict[str, Callable[[], Any]] = {
    "network": lambda: network(),
    "deep network": lambda: network(8, 6, 4),
    "scaled network": lambda: make_pipeline(k_best(), StandardScaler(), network()),
    "network after pca": lambda: make_pipeline(StandardScaler(), PCA(8), network()),
}
GENERAL: dict[str, Callable[[], Any]] = {
    "neighbours": lambda: KNeighborsClassifier(3, algorithm="kd_tree"),
    "svc": SVC,
    "linear kernel": lambda: SVC(kernel="linear"),  # of many classes: one sum per pair
    "bayes": GaussianNB,
    "tanh": lambda: MLPClassifier((8,), activation="tanh", max_iter=30, random_state=0),
    "network after log": lambda: make_pipeline(log1p(), network()),
    "mixed cells": lambda: make_pipeline(Normalizer(), logistic()),
    "clipped": lambda: make_pipeline(MinMaxScaler(clip=True), logistic()),
    "scaled after pca": lambda: make_pipeline(PCA(8), StandardScaler(), logistic()),
    "whitened": lambda: make_pipeline(PCA(8, whiten=True), logistic()),
    "shares": lambda: make_pipeline(FunctionTransformer(shares), logistic()),
    "scaled forest": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
}
#: (model, scorer, whether of two classes only, type of the data)
PROMISED = [
    pytest.param(build, scorer, binary, dtype, id=f"{name}-{'two' if binary else 'many'}-{dtype.__name__}")
    for models, scorer, settings in (
        (LINEAR, LinearScorer, [(False, np.float64), (True, np.float64), (False, np.float32)]),
        (TREES, TreeScorer, [(False, np.float64), (True, np.float64), (False, np.float32)]),
        (NETWORKS, PerceptronScorer, [(False, np.float64), (True, np.float64), (False, np.float32)]),
        (GENERAL, GeneralScorer, [(False, np.float64), (True, np.float32)]),
    )
    for name, build in models.items()
    for binary, dtype in settings
    if not (name == "linear kernel" and binary)  # one weighted sum: see test_a_linear_kernel_of_two_classes
]


@pytest.fixture(scope="module")
def small(pbmc_small: AnnData) -> AnnData:
    """Real cells of six types, 80 genes, float64."""
    kept = pbmc_small.obs["cell_type"].value_counts().index[:6]
    rows = np.flatnonzero(pbmc_small.obs["cell_type"].isin(kept))[::2]
    part = pbmc_small[:, 3::9].copy()[rows]
    obs = pd.DataFrame({"cell_type": part.obs["cell_type"].astype(str)})
    obs["lone"] = np.where(np.arange(len(obs)) == 5, "one", "others")
    return AnnData(part.X.toarray().astype(np.float64), obs=obs, var=part.var)


def types(adata: AnnData, binary: bool) -> np.ndarray:
    labels = adata.obs["cell_type"].to_numpy(dtype=str)
    return np.where(np.char.startswith(labels, "CD4+"), "helper", "other") if binary else labels


@pytest.mark.fast("logistic-many-float64", "ridge-many-float32")
@pytest.mark.parametrize(("build", "promised", "binary", "dtype"), PROMISED)
def test_each_model_gets_its_scorer_and_obeys_the_law(
    small: AnnData,
    build: Callable[[], Any],
    promised: type[Scorer],
    binary: bool,
    dtype: type,
    caplog: pytest.LogCaptureFixture,
) -> None:
    adata = AnnData(small.X.astype(dtype), obs=small.obs, var=small.var)
    estimator = build().fit(adata.X, types(adata, binary))
    model = wrap(estimator)
    assert isinstance(model, Estimator)
    with caplog.at_level(logging.WARNING):
        for groupby, target in (("cell_type", "Dendritic"), ("lone", "one")):
            scorer = check_scorer_law(
                model, adata, groupby=groupby, target=target, games=2, moves=6 if promised is not GeneralScorer else 4
            )
            assert type(scorer) is promised
            assert scorer.incremental == (promised is not GeneralScorer)
    assert not caplog.records  # the exact scorer was not given up, nor tried in vain


@pytest.mark.fast(4)
@pytest.mark.parametrize("name", ["logistic", "standard", "forest", "boosting", "neighbours", "network"])
def test_labels_and_scores_are_the_estimators_own(small: AnnData, name: str) -> None:
    build = (LINEAR | TREES | NETWORKS | GENERAL)[name]
    estimator = build().fit(small.X, types(small, False))
    model = wrap(estimator)
    assert model.predict(small).tolist() == estimator.predict(small.X).tolist()
    np.testing.assert_allclose(model.scores(small), estimator.predict_proba(small.X), rtol=1e-9)
    assert list(model.scores(small).columns) == list(estimator.classes_)


@pytest.mark.fast(4)
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_networks_are_those_of_finite_differences(small: AnnData, name: str, binary: bool) -> None:
    estimator = NETWORKS[name]().fit(small.X, types(small, binary))
    model, rng, step = wrap(estimator), np.random.default_rng(0), 1e-6
    X, weights = np.asarray(small.X[:5]), rng.normal(size=(5, len(estimator.classes_)))
    assert model.differentiable
    np.testing.assert_allclose(softmax(model.logits(X), axis=1), estimator.predict_proba(X), rtol=1e-9, atol=1e-300)
    gradient = model.gradient(X, weights)
    for j in rng.choice(X.shape[1], 12, replace=False):
        moved = X.copy()
        moved[:, j] += step
        change = ((model.logits(moved) - model.logits(X)) * weights).sum(axis=1) / step
        np.testing.assert_allclose(gradient[:, j], change, rtol=1e-4, atol=1e-6)


@pytest.mark.fast("scaled network")
@pytest.mark.parametrize("name", ["network", "scaled network"])
def test_certificates_of_networks_are_checked(small: AnnData, name: str, tmp_path: Path) -> None:
    model = wrap(NETWORKS[name]().fit(small.X, types(small, False)), genes=list(small.var_names))
    results = adv.survey(small, model, attacks=adv.attacks.MinChange("perc1"), groupby="cell_type").results
    result = max(results, key=lambda result: result.lower)
    assert result.lower > 1
    path = result.certificate(small, model).save(tmp_path / "proof.json")
    assert adv.evaluation.verify_certificate(path, small, model)
    other = wrap(network(7).fit(small.X, types(small, False)), genes=list(small.var_names))
    assert not adv.evaluation.verify_certificate(path, small, other)


def test_decisions_serve_as_scores_where_there_are_no_probabilities(small: AnnData) -> None:
    estimator = LinearSVC().fit(small.X, types(small, False))
    np.testing.assert_allclose(wrap(estimator).scores(small), estimator.decision_function(small.X), rtol=1e-9)
    binary = RidgeClassifier().fit(small.X, types(small, True))
    decision = binary.decision_function(small.X)
    np.testing.assert_allclose(wrap(binary).scores(small), np.stack([-decision, decision], axis=1), rtol=1e-9)


def test_one_against_the_rest_has_scores_far_out(small: AnnData) -> None:
    """Its probabilities are 0 / 0 where every class says no, while its label is well defined."""
    estimator = SGDClassifier(loss="log_loss", random_state=0).fit(small.X, types(small, False))
    model = wrap(estimator)
    far = small.copy()
    gene = int(np.argmax(np.abs(estimator.coef_.max(axis=0)) * (estimator.coef_.max(axis=0) < 0)))
    far.X[:, gene] = 1e9
    if (estimator.coef_[:, gene] < 0).all():
        with np.errstate(invalid="ignore"):
            assert np.isnan(estimator.predict_proba(far.X)).all()
    assert model.predict(far).tolist() == estimator.predict(far.X).tolist()
    assert np.isfinite(model.scores(far).to_numpy()).all()


@pytest.mark.slow
def test_a_linear_kernel_of_two_classes(small: AnnData) -> None:
    """One weighted sum; libsvm adds it up over support vectors, so that its own last digits differ."""
    adata = AnnData(small.X.astype(np.float32), obs=small.obs, var=small.var)
    model = wrap(SVC(kernel="linear").fit(adata.X, types(adata, True)))
    assert isinstance(check_scorer_law(model, adata, groupby="cell_type", target="Dendritic"), LinearScorer)


def test_three_pairs_of_three_classes_are_not_mistaken_for_the_classes(small: AnnData) -> None:
    labels = types(small, False)
    kept = np.isin(labels, np.unique(labels)[:3])
    adata = small[kept].copy()
    estimator = SVC(kernel="linear").fit(adata.X, adata.obs["cell_type"])
    assert estimator.coef_.shape == (3, adata.n_vars)
    target = str(np.unique(labels)[0])
    scorer = check_scorer_law(wrap(estimator), adata, groupby="cell_type", target=target, games=2, moves=5)
    assert type(scorer) is GeneralScorer


def test_a_model_that_does_not_decide_by_its_sums_is_found_out(
    small: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    class Contrary(LogisticRegression):
        def predict(self, X: np.ndarray) -> np.ndarray:
            return super().predict(-np.asarray(X))

    model = wrap(Contrary(max_iter=60).fit(small.X, types(small, False)))
    with caplog.at_level(logging.WARNING):
        scorer = check_scorer_law(model, small, groupby="cell_type", target="Dendritic", games=2, moves=5)
    assert type(scorer) is GeneralScorer
    assert "does not score as its parts say" in caplog.text


@pytest.mark.fast(1)
@pytest.mark.parametrize("init", [DecisionTreeClassifier(max_depth=1), LogisticRegression(max_iter=20)])
def test_boosting_on_top_of_another_model_is_re_predicted(small: AnnData, init: Any) -> None:
    estimator = GradientBoostingClassifier(n_estimators=2, init=init, random_state=0).fit(small.X, types(small, False))
    scorer = check_scorer_law(wrap(estimator), small, groupby="cell_type", target="Dendritic", games=1, moves=5)
    assert type(scorer) is GeneralScorer


@pytest.mark.slow
@pytest.mark.skipif("clip" not in MaxAbsScaler().get_params(), reason="this scikit-learn has no MaxAbsScaler(clip=)")
def test_a_clipped_maximum_is_no_scaling(small: AnnData) -> None:
    model = wrap(make_pipeline(MaxAbsScaler(clip=True), logistic()).fit(small.X, types(small, False)))
    assert type(check_scorer_law(model, small, groupby="cell_type", target="Dendritic", games=2)) is GeneralScorer


def test_logarithms_of_negative_values_are_refused(small: AnnData) -> None:
    """The estimator raises on the NaN; so does the scorer, for exactly the genes that reach the logarithm."""
    for build, reached in ((LINEAR["log, then select"], 85), (LINEAR["select, then log"], 30)):
        model = wrap(build().fit(small.X, types(small, False)))
        scorer = model.scorer(Cluster(small, "cell_type", "Dendritic"))
        answers = scorer.each(np.arange(85), np.full((1, 85), -2.0))
        assert isinstance(scorer, LinearScorer)
        assert answers.rejected.sum() == reached


# ---- names


@pytest.mark.slow
def test_genes_are_found_by_the_names_of_the_training_frame(small: AnnData) -> None:
    estimator = logistic().fit(small.to_df(), types(small, False))
    model = wrap(estimator)
    assert list(model.genes) == list(small.var_names)
    shuffled = small[:, ::-1].copy()
    assert model.predict(shuffled).tolist() == estimator.predict(small.to_df()).tolist()
    check_scorer_law(model, shuffled, groupby="cell_type", target="Dendritic", games=2)
    with pytest.raises(GeneMismatchError, match="needs 85 genes, 84"):
        model.predict(small[:, 1:])


def test_genes_can_be_named(small: AnnData) -> None:
    estimator = logistic().fit(small.X[:, :20], types(small, False))
    model = wrap(estimator, genes=small.var_names[:20])
    shuffled = small[:, ::-1].copy()
    assert model.predict(shuffled).tolist() == estimator.predict(small.X[:, :20]).tolist()
    scorer = check_scorer_law(model, shuffled, groupby="cell_type", target="Dendritic", games=2)
    assert scorer.reads(np.arange(85)).sum() == 20
    with pytest.raises(ParameterError, match="names 19 genes, the estimator was fitted on 20"):
        wrap(estimator, genes=small.var_names[:19])
    with pytest.raises(DataError, match=r"fitted on 20 unnamed columns, the data have 85 genes"):
        wrap(estimator).predict(small)


def test_classes_can_be_named(small: AnnData) -> None:
    codes = (types(small, True) == "other").astype(int)
    estimator = logistic().fit(small.X, codes)
    assert wrap(estimator).classes == ("0", "1")
    model = wrap(estimator, classes=["helper", "other"])
    assert model.predict(small).tolist() == np.array(["helper", "other"])[estimator.predict(small.X)].tolist()
    check_scorer_law(model, small, groupby="cell_type", target="Dendritic", games=2)
    with pytest.raises(ParameterError, match="names 3 classes, the estimator has 2"):
        wrap(estimator, classes=["a", "b", "c"])


# ---- misuse


class Answering(LogisticRegression):
    """Fitted like any other, but answers as told."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__(max_iter=20)
        self.answer = answer

    def predict(self, X: np.ndarray) -> Any:
        return self.answer(X)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda X: np.zeros((len(X), 2)), r"returned shape \(\d+, 2\)"),
        (lambda X: np.array(["Martian"] * len(X)), "answered 'Martian', which is not among its classes"),
        (lambda X: {}[0], "failed with KeyError"),
    ],
)
def test_nonsense_is_an_error(small: AnnData, answer: Any, says: str) -> None:
    model = wrap(Answering(answer).fit(small.X, types(small, False)))
    with pytest.raises(ClassifierError, match=says):
        model.predict(small)


def test_estimators_must_be_fitted_classifiers(small: AnnData) -> None:
    from sklearn.linear_model import LinearRegression

    for unusable in (logistic(), make_pipeline(StandardScaler(), logistic()), LinearRegression()):
        with pytest.raises(ParameterError, match=r"no classes_: it is not a fitted classifier\. Call fit first"):
            wrap(unusable)


@pytest.mark.parametrize("named", [True, False])
def test_fit_trains_a_clone(small: AnnData, named: bool) -> None:
    first = small[: small.n_obs // 2]
    X = pd.DataFrame(first.X, columns=first.var_names) if named else first.X
    given = make_pipeline(StandardScaler(), logistic()).fit(X, types(first, False))
    weights = given[-1].coef_.copy()
    cells = small.copy()
    cells.obs["type"] = types(small, False)
    model = wrap(given)
    assert model.fit(cells, "type") is model
    again = make_pipeline(StandardScaler(), logistic()).fit(small.X.astype(np.float64), types(small, False))
    expected = again.predict_proba(small.X.astype(np.float64))
    np.testing.assert_allclose(model.scores(small), expected, rtol=0, atol=1e-9)  # sums may run in another order
    assert list(model.genes) == list(small.var_names)
    assert np.array_equal(given[-1].coef_, weights)
    assert not np.array_equal(model.estimator[-1].coef_, weights)


def test_estimators_cannot_be_stored(small: AnnData, tmp_path: Any) -> None:
    model = wrap(logistic().fit(small.X, types(small, False)))
    with pytest.raises(ClassifierError, match="LogisticRegression cannot be stored; keep the object"):
        model.save(tmp_path / "model.npz")


def test_name_and_repr(small: AnnData) -> None:
    model = wrap(make_pipeline(StandardScaler(), RidgeClassifier()).fit(small.X, types(small, True)))
    assert model.name == "RidgeClassifier"
    assert repr(wrap(LinearSVC(C=0.5).fit(small.X, types(small, True)))) == "wrap(LinearSVC(C=0.5))"
    assert isinstance(model.predict(small), pd.Series)


def test_a_rule_of_a_users_own_for_a_few_cells_is_found_out(small: AnnData) -> None:
    """All cells are asked about, though there are more than those by which scikit-learn's own models are known."""
    labels = types(small, False)
    target = max(set(labels), key=labels.tolist().count)
    rows = np.flatnonzero(labels == target)
    assert len(rows) > 40
    one = small.X[rows[1]]

    class Careful(LogisticRegression):
        def predict(self, X: np.ndarray) -> np.ndarray:
            said = super().predict(X)
            said[np.isclose(np.asarray(X), one).all(axis=1)] = self.classes_[0]
            return said

    for kind, expected in ((Careful, GeneralScorer), (LogisticRegression, LinearScorer)):
        fitted = kind(max_iter=60).fit(small.X, labels)
        assert fitted.classes_[0] != target
        assert type(wrap(fitted).scorer(Cluster(small, "cell_type", target))) is expected


def test_weights_that_the_model_does_not_decide_by_are_found_out_in_a_large_cluster(
    small: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = types(small, False)
    target = max(set(labels), key=labels.tolist().count)
    model = wrap(LogisticRegression(max_iter=60).fit(small.X, labels))
    assert type(model.scorer(Cluster(small, "cell_type", target))) is LinearScorer
    original = LogisticRegression.decision_function
    monkeypatch.setattr(LogisticRegression, "decision_function", lambda self, X: original(self, X) * 1.001)
    assert type(model.scorer(Cluster(small, "cell_type", target))) is GeneralScorer
