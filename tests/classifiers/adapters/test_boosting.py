"""XGBoost and LightGBM: labels and scores are the packages' own, and the trees read here say the same."""

import logging
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial import _store
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import wrap
from adverscarial.classifiers.adapters.boosting import Boosted
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import (
    ClassifierError,
    DataError,
    GeneMismatchError,
    MissingDependencyError,
    ParameterError,
    StorageError,
)
from classifiers.scorer_law import check_scorer_law

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

TARGET = "CD14+ Monocyte"
MANY, TWO = "many", "two"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def cells(pbmc_small: AnnData) -> AnnData:
    """586 cells of five types, 96 genes."""
    kept = pbmc_small.obs["cell_type"].isin(
        ["CD14+ Monocyte", "CD19+ B", "Dendritic", "CD8+ Cytotoxic T", "CD4+/CD25 T Reg"]
    )
    return pbmc_small[kept.to_numpy()].copy()[:, ::8].copy()


def truth(cells: AnnData, which: str) -> np.ndarray:
    """Class numbers: of all cell types, or of the target against all others."""
    if which == TWO:
        return (cells.obs["cell_type"] == TARGET).to_numpy().astype(int)
    return pd.Categorical(cells.obs["cell_type"].astype(str)).codes.astype(int)


def class_names(cells: AnnData, which: str) -> list[str]:
    return ["other", TARGET] if which == TWO else sorted(set(cells.obs["cell_type"]))


def xgb(cells: AnnData, which: str = MANY, **settings: Any) -> Any:
    chosen = {"n_estimators": 6, "max_depth": 4, "n_jobs": 1, "random_state": 0, **settings}
    return xgboost.XGBClassifier(**chosen).fit(cells.to_df(), truth(cells, which))


def lgb(cells: AnnData, which: str = MANY, **settings: Any) -> Any:
    chosen = {"n_estimators": 6, "num_leaves": 12, "n_jobs": 1, "random_state": 0, "verbose": -1, **settings}
    return lightgbm.LGBMClassifier(**chosen).fit(cells.to_df(), truth(cells, which))


XGB_SETTINGS = {
    "plain": {},
    "exact": {"tree_method": "exact"},
    "dart": {"booster": "dart", "rate_drop": 0.5},
    "softmax": {"objective": "multi:softmax"},
    "sampled": {"subsample": 0.6, "base_score": 0.3, "num_parallel_tree": 2},
    "zeros missing": {"missing": 0},
    "stumps": {"max_depth": 1, "gamma": 2.0},
}
LGB_SETTINGS = {
    "plain": {},
    "dart": {"boosting_type": "dart"},
    "forest": {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1},
    "one against all": {"objective": "multiclassova"},
    "steep": {"sigmoid": 2.5},
    "no missing": {"use_missing": False},
    "single leaves": {"min_child_samples": 300},
    "from zero": {"boost_from_average": False},
}
CASES = [
    pytest.param(train, which, settings, id=f"{train.__name__}-{which}-{name}")
    for train, table in ((xgb, XGB_SETTINGS), (lgb, LGB_SETTINGS))
    for name, settings in table.items()
    for which in (MANY, TWO)
    if which == MANY or not str(settings.get("objective", "")).startswith("multi")
]


@pytest.mark.fast("xgb-many-plain", "xgb-two-dart", "xgb-two-zeros missing", "lgb-many-plain", "lgb-two-plain")
@pytest.mark.parametrize(("train", "which", "settings"), CASES)
def test_equal_to_the_package_and_read_exactly(
    cells: AnnData, train: Any, which: str, settings: dict[str, Any]
) -> None:
    model, names = train(cells, which, **settings), np.array(class_names(cells, which))
    classifier = wrap(model, classes=names)
    assert isinstance(classifier, Boosted)
    frame = cells.to_df()
    np.testing.assert_array_equal(classifier.predict(cells), names[model.predict(frame)])
    # XGBoost's in-place prediction, which its scikit-learn class uses, rounds dart's sums once more
    np.testing.assert_allclose(classifier.scores(cells), model.predict_proba(frame), rtol=0, atol=3e-7)

    trees = classifier._model.trees
    assert trees is not None
    sums = trees.sums(frame.to_numpy())
    raw = (
        model.predict(frame, output_margin=True) if train is xgb else model.booster_.predict(frame, raw_score=True)
    ).reshape(sums.shape)
    if "rf" in settings.values():
        raw = raw / 6  # LightGBM averages behind the raw score
    tolerance = 1e-6 if train is xgb else 1e-12
    np.testing.assert_allclose(sums, raw, rtol=tolerance, atol=tolerance * np.abs(raw).max())
    assert type(classifier.scorer(Cluster(cells, "cell_type", TARGET))) is TreeScorer


@pytest.mark.fast("xgb-many-plain", "xgb-two-zeros missing", "lgb-two-plain")
@pytest.mark.parametrize(("train", "which", "settings"), CASES)
def test_the_scorer_answers_as_full_prediction(
    cells: AnnData, train: Any, which: str, settings: dict[str, Any]
) -> None:
    classifier = wrap(train(cells, which, **settings), classes=class_names(cells, which))
    scorer = check_scorer_law(
        classifier, cells, groupby="cell_type", target=TARGET, games=2, moves=6, rounding_ties=train is xgb
    )
    assert type(scorer) is TreeScorer
    assert scorer.incremental


@pytest.mark.slow
def test_scorer_law_in_float64_and_on_thresholds(cells: AnnData) -> None:
    """Values right at, and one step beside, the thresholds go where the packages send them."""
    cells = cells.copy()
    cells.X = cells.X.toarray().astype(np.float64)
    for train in (xgb, lgb):
        classifier = wrap(train(cells), classes=class_names(cells, MANY))
        trees = classifier._model.trees  # type: ignore[attr-defined]
        assert trees is not None
        at = np.unique(trees.threshold[trees.feature >= 0])
        if train is xgb:
            at = np.nextafter(at.astype(np.float32), np.float32(np.inf)).astype(np.float64)
            steps = [np.nextafter(at.astype(np.float32), np.float32(way)) for way in (np.inf, -np.inf)]
        else:
            steps = [np.nextafter(at, way) for way in (np.inf, -np.inf)]
        values = tuple(float(v) for v in np.concatenate([at, *steps]))
        # in float64 data XGBoost still adds in float32, so its scores cannot agree to 1e-9: compare labels
        scorer = classifier.scorer(Cluster(cells, "cell_type", TARGET))
        assert type(scorer) is TreeScorer
        read = np.flatnonzero(scorer.reads(np.arange(cells.n_vars)))
        rows = np.flatnonzero(cells.obs["cell_type"] == TARGET)
        for value in np.random.default_rng(0).choice(values, 40, replace=False):
            changed = cells.X[rows].copy()
            changed[:, read] = value
            answer = scorer.together(read, np.full((1, len(read)), value))
            decision = classifier.decide(changed)
            np.testing.assert_array_equal(answer.labels, decision.labels)
            np.testing.assert_allclose(answer.scores, decision.scores, rtol=0, atol=1e-6 if train is xgb else 1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("default", ["left", "right"])
def test_zeros_apart_on_both_sides_of_a_threshold(sign: int, default: str) -> None:
    """A split above or below zero, with zeros sent to either side."""
    rng = np.random.default_rng(0)
    X = (rng.integers(1, 4, size=(300, 1)) * sign).astype(np.float32)
    y = (np.abs(X[:, 0]) > 1).astype(int)
    X[rng.random(300) < 0.4] = 0
    low_left = sign > 0  # cells of class 0 lie nearer to zero
    y[X[:, 0] == 0] = int((default == "left") != low_left)
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=1, missing=0).fit(X, y)
    trees = Boosted(model)._model.trees
    assert trees is not None
    values = np.array([[-3], [-2], [-1], [-0.5], [-1e-45], [-0.0], [0], [1e-45], [0.5], [1], [2], [3]], np.float32)
    np.testing.assert_allclose(
        trees.sums(values)[:, 0], model.predict(values, output_margin=True), rtol=1e-6, atol=1e-6
    )
    assert len(np.unique(trees.sums(values).round(6))) > 1


@pytest.mark.slow
def test_many_trees_in_float32_keep_the_exact_scorer(cells: AnnData) -> None:
    """The rounding of XGBoost's own sums is no reason to mistrust the trees."""
    classifier = wrap(xgb(cells, TWO, n_estimators=600, learning_rate=0.3))
    for target in (TARGET, "Dendritic"):
        scorer = classifier.scorer(Cluster(cells, "cell_type", target))
        assert type(scorer) is TreeScorer
        truth = classifier.scores(cells[(cells.obs["cell_type"] == target).to_numpy()].copy())
        np.testing.assert_allclose(scorer.baseline.scores, truth, rtol=0, atol=5e-6)


NOT_EXACT = {
    "linear booster": (lambda cells: xgb(cells, booster="gblinear", max_depth=None), "gblinear"),
    "vector leaves": (lambda cells: xgb(cells, multi_strategy="multi_output_tree"), "one value per class"),
    "ones missing": (lambda cells: xgb(cells, missing=1.0), "values of 1 are missing"),
    "zeros missing": (lambda cells: lgb(cells, zero_as_missing=True), "zeros are missing"),
    "linear leaves": (lambda cells: lgb(cells, linear_tree=True), "linear models"),
}


@pytest.mark.fast(1)
@pytest.mark.parametrize("case", NOT_EXACT)
def test_anything_else_gets_the_general_scorer(cells: AnnData, case: str, caplog: pytest.LogCaptureFixture) -> None:
    train, reason = NOT_EXACT[case]
    model = train(cells)
    classifier = wrap(model, classes=class_names(cells, MANY))
    with caplog.at_level(logging.INFO, logger="adverscarial"):
        scorer = classifier.scorer(Cluster(cells, "cell_type", TARGET))
    assert type(scorer) is GeneralScorer
    assert reason in caplog.text
    np.testing.assert_allclose(classifier.scores(cells), model.predict_proba(cells.to_df()), rtol=0, atol=1e-7)
    check_scorer_law(classifier, cells, groupby="cell_type", target=TARGET, games=1, moves=4, rounding_ties=True)


@pytest.mark.fast(1)
@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_splits_by_category_get_the_general_scorer(cells: AnnData, package: str) -> None:
    frame = cells.to_df().iloc[:, :6]
    frame["lane"] = pd.Categorical(truth(cells, MANY) % 3)
    if package == "xgboost":
        model = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(frame, truth(cells, MANY))
    else:
        model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(frame, truth(cells, MANY))
    classifier = Boosted(model)
    assert classifier._model.trees is None
    assert "category" in classifier._model.obstacle
    X = frame.astype(np.float64).to_numpy()
    np.testing.assert_allclose(classifier.decide(X).scores, model.predict_proba(frame), rtol=0, atol=1e-7)


def test_trees_that_do_not_say_what_the_package_says_are_not_used(
    cells: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = Boosted(lgb(cells))
    trees = classifier._model.trees
    assert trees is not None
    trees.threshold[:] += 0.5
    scorer = classifier.scorer(Cluster(cells, "cell_type", TARGET))
    assert type(scorer) is GeneralScorer
    assert "does not score as its parts say" in caplog.text


def test_early_stopping_uses_the_best_iteration(cells: AnnData) -> None:
    frame, y = cells.to_df(), truth(cells, MANY)
    even, odd = frame[::2], frame[1::2]
    x = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=3, learning_rate=0.9, n_jobs=1)
    x.fit(even, y[::2], eval_set=[(odd, y[1::2])], verbose=False)
    assert x.best_iteration + 1 < x.get_booster().num_boosted_rounds()
    light = lightgbm.LGBMClassifier(n_estimators=12, n_jobs=1, verbose=-1).fit(even, y[::2])
    light.booster_.best_iteration = 5  # as its early stopping leaves it
    assert light.booster_.current_iteration() == 12
    for model in (x, light):
        classifier = Boosted(model)
        np.testing.assert_allclose(classifier.scores(cells), model.predict_proba(frame), rtol=0, atol=1e-7)
        assert type(classifier.scorer(Cluster(cells, "cell_type", TARGET))) is TreeScorer


@pytest.mark.slow
def test_boosters_names_and_classes(cells: AnnData) -> None:
    names = class_names(cells, MANY)
    for train in (xgb, lgb):
        model = train(cells)
        booster = model.get_booster() if hasattr(model, "get_booster") else model.booster_
        # a Booster may have got its names beside a sparse matrix
        reading: Any = {"sparse": "zero"} if train is xgb else {}
        by_number, by_name = wrap(booster, **reading), wrap(booster, classes=names, **reading)
        assert by_number.classes == tuple("01234")
        assert by_name.classes == tuple(names)
        assert list(by_name.genes) == list(cells.var_names)  # type: ignore[arg-type]
        np.testing.assert_array_equal(by_name.predict(cells), np.array(names)[model.predict(cells.to_df())])
        np.testing.assert_array_equal(by_name.scores(cells), wrap(model).scores(cells))
        shuffled = cells[:, ::-1].copy()
        np.testing.assert_array_equal(by_name.predict(shuffled), by_name.predict(cells))
        with pytest.raises(GeneMismatchError, match="96 genes, 95 of them"):
            by_name.predict(cells[:, 1:].copy())
    texts = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(cells.to_df(), cells.obs["cell_type"].astype(str))
    assert wrap(texts).classes == tuple(names)


@pytest.mark.slow
def test_a_model_without_gene_names_takes_columns_in_order(cells: AnnData) -> None:
    X, y = cells.to_df().to_numpy(), truth(cells, MANY)
    dense = cells.copy()
    dense.X = X
    for model in (
        xgboost.XGBClassifier(n_estimators=2).fit(X, y),
        lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, y),
    ):
        assert wrap(model).genes is None
        np.testing.assert_array_equal(wrap(model).predict(dense), model.predict(X).astype(str))
        np.testing.assert_array_equal(
            wrap(model, genes=cells.var_names).predict(dense[:, ::-1].copy()), model.predict(X).astype(str)
        )
        with pytest.raises(DataError, match="96 unnamed columns, the data have 50 genes"):
            wrap(model).predict(cells[:, :50].copy())


@pytest.mark.slow
def test_wrong_arguments_are_refused(cells: AnnData) -> None:
    model = lgb(cells)
    with pytest.raises(ParameterError, match="names 2 classes, the model has 5"):
        wrap(model, classes=["a", "b"])
    with pytest.raises(ParameterError, match="names 3 genes, the model was trained on 96"):
        wrap(model, genes=["a", "b", "c"])
    with pytest.raises(ParameterError, match="more than once: 'a'"):
        wrap(model, genes=["a"] * 96)
    with pytest.raises(ParameterError, match="settings of XGBoost"):
        Boosted(model, missing=0)
    with pytest.raises(ParameterError, match="got a dict"):
        Boosted({})
    for unfitted in (xgboost.XGBClassifier(), lightgbm.LGBMClassifier()):
        with pytest.raises(ParameterError, match="not fitted"):
            wrap(unfitted)
    frame, y = cells.to_df(), truth(cells, TWO)
    with pytest.raises(ParameterError, match="objective 'reg:squarederror'"):
        wrap(xgboost.XGBRegressor(n_estimators=1).fit(frame, y))
    with pytest.raises(ParameterError, match="objective 'regression'"):
        wrap(lightgbm.LGBMRegressor(n_estimators=1, verbose=-1).fit(frame, y))


def test_a_failing_package_is_a_classifier_error(cells: AnnData) -> None:
    classifier = wrap(lgb(cells))
    with pytest.raises(ClassifierError, match="LightGBM failed with LightGBMError"):
        classifier.decide(np.zeros((2, 3)))


@pytest.mark.fast(2)
@pytest.mark.parametrize("train", [xgb, lgb])
@pytest.mark.parametrize("which", [MANY, TWO])
def test_a_stored_model_answers_as_before(cells: AnnData, train: Any, which: str, tmp_path: Any) -> None:
    settings = {"missing": 0} if train is xgb else {}
    classifier = wrap(train(cells, which, **settings), classes=class_names(cells, which))
    classifier.save(tmp_path / "model.npz")
    meta, arrays = _store.load(tmp_path / "model.npz", "classifier")
    assert meta["family"] == "boosted"
    again = Boosted.from_state(meta, arrays)
    assert (again.classes, repr(again)) == (classifier.classes, repr(classifier))
    np.testing.assert_array_equal(again.scores(cells), classifier.scores(cells))
    np.testing.assert_array_equal(again.predict(cells), classifier.predict(cells))
    assert type(again.scorer(Cluster(cells, "cell_type", TARGET))) is TreeScorer


def test_a_damaged_stored_model_is_refused(cells: AnnData) -> None:
    meta, _ = wrap(lgb(cells)).state()
    with pytest.raises(StorageError, match="LightGBM cannot read"):
        Boosted.from_state(meta, {"model": np.frombuffer(b"nonsense", dtype=np.uint8)})
    meta, _ = wrap(xgb(cells)).state()
    with pytest.raises(StorageError, match="XGBoost cannot read"):
        Boosted.from_state(meta, {"model": np.frombuffer(b"nonsense", dtype=np.uint8)})


def test_package_not_installed(cells: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, stored = wrap(xgb(cells)), {train: wrap(train(cells)).state() for train in (xgb, lgb)}
    for package in ("xgboost", "lightgbm"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"'xgboost'.*pip install 'adverscarial\[boosting\]'"):
        classifier.predict(cells)
    for train, package in ((xgb, "xgboost"), (lgb, "lightgbm")):
        with pytest.raises(MissingDependencyError, match=package):
            Boosted.from_state(*stored[train])


@pytest.mark.slow
def test_an_attack_finds_what_full_prediction_confirms(shared: Any) -> None:
    """On real cells: the gene that flips most is confirmed from scratch."""
    import anndata

    from adverscarial.attacks import SingleGene

    adata = anndata.read_h5ad(shared / "data" / "pbmc3k.h5ad")[::3].copy()[:, :600].copy()
    labels = pd.Categorical(adata.obs["cell_type"].astype(str))
    model = lightgbm.LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1, random_state=0)
    model.fit(adata.to_df(), labels.codes)
    classifier = wrap(model, classes=list(labels.categories))
    target = str(labels.value_counts().idxmax())
    result = SingleGene("perc99")(adata, classifier, groupby="cell_type", target=target)
    frame = result.to_frame()
    assert len(frame) == 600
    answers = frame.set_index("gene")
    cluster = Cluster(adata, "cell_type", target)
    new = cluster.statistics.quantile(np.arange(600), 0.99)
    used = np.flatnonzero(model.booster_.feature_importance())
    for gene in used[:40]:
        X = cluster.X.copy()
        X[:, gene] = new[gene]
        said = pd.Series(labels.categories[model.predict(pd.DataFrame(X, columns=adata.var_names))]).value_counts()
        share = answers.loc[adata.var_names[gene], "share"]
        assert said.get(answers.loc[adata.var_names[gene], "label"], 0) / len(X) == pytest.approx(share)
