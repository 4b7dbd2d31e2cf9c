"""What the library itself predicts, in the user's own container, is what every adapter says: labels and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MaxAbsScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import adverscarial as adv
from adverscarial.classifiers import Boosted, wrap

TYPES = ("B", "NK", "T")


def cells(dtype: type = np.float32, n: int = 150, genes: int = 16, seed: int = 0) -> AnnData:
    """Log counts with zeros; the first genes tell the types apart, and a fifth of the labels are wrong."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % len(TYPES)
    X = rng.poisson(1.0, (n, genes))
    for k in range(len(TYPES)):
        X[kind == k, 3 * k : 3 * k + 3] += rng.poisson(2.5, (int((kind == k).sum()), 3))
    kind = np.where(rng.random(n) < 0.2, rng.integers(0, 3, n), kind)
    obs = pd.DataFrame({"cell_type": np.array(TYPES)[kind]}, index=[f"cell{i}" for i in range(n)])
    return AnnData(np.log1p(X).astype(dtype), obs=obs, var=pd.DataFrame(index=[f"G {i}" for i in range(genes)]))


def boosted(package: str) -> Callable[..., Any]:
    def make(**settings: Any) -> Any:
        module = pytest.importorskip(package)
        kind = module.XGBClassifier if package == "xgboost" else module.LGBMClassifier
        quiet = {} if package == "xgboost" else {"verbose": -1, "min_child_samples": 5}
        return kind(n_estimators=8, n_jobs=1, **quiet, **settings)

    return make


xgb, lgb = boosted("xgboost"), boosted("lightgbm")

MODELS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=300),
    "logistic behind scaling": lambda: make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=300)),
    "linear SVC": lambda: SVC(kernel="linear"),
    "LinearSVC": LinearSVC,
    "SGD, log loss": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "SGD, modified Huber": lambda: SGDClassifier(loss="modified_huber", random_state=0),
    "forest": lambda: RandomForestClassifier(8, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(8, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=4, random_state=0),
    "forest of selected": lambda: make_pipeline(SelectKBest(k=8), RandomForestClassifier(8, random_state=0)),
    "forest of scaled": lambda: make_pipeline(
        StandardScaler(with_mean=False), RandomForestClassifier(8, random_state=0)
    ),
    "neighbours": lambda: KNeighborsClassifier(5),
    "votes": lambda: VotingClassifier(
        [("l", LogisticRegression()), ("t", DecisionTreeClassifier(random_state=0))], voting="soft"
    ),
    "calibrated": lambda: CalibratedClassifierCV(RandomForestClassifier(5, random_state=0), cv=2),
    "XGBoost": xgb,
    "XGBoost, exact": lambda: xgb(tree_method="exact"),
    "XGBoost, dart": lambda: xgb(booster="dart", rate_drop=0.4),
    "XGBoost behind scaling": lambda: make_pipeline(StandardScaler(with_mean=False), xgb()),
    "LightGBM": lgb,
    "LightGBM, early stop": lambda: lgb(pred_early_stop=True, pred_early_stop_freq=2, pred_early_stop_margin=0.5),
    "LightGBM behind scaling": lambda: make_pipeline(StandardScaler(with_mean=False), lgb()),
}
DENSE_ONLY: dict[str, Callable[[], Any]] = {
    "centred logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
    "PCA": lambda: make_pipeline(PCA(4, random_state=0), LogisticRegression(max_iter=300)),
    "network": lambda: MLPClassifier((8,), max_iter=60, random_state=0),
    "Bayes": GaussianNB,
    "binarised": lambda: make_pipeline(Binarizer(threshold=0.69314718), LogisticRegression(max_iter=300)),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=4, random_state=0),
    "XGBoost behind centred scaling": lambda: make_pipeline(StandardScaler(), xgb()),
}


class Case(NamedTuple):
    """One model, and what it is trained on and asked about."""

    make: Callable[[], Any]
    dtype: type
    sparse: bool


CASES = [
    pytest.param(Case(make, dtype, sparse), id=f"{name}, {np.dtype(dtype)}, {'sparse' if sparse else 'dense'}")
    for table in (MODELS, DENSE_ONLY)
    for name, make in table.items()
    for dtype in (np.float32, np.float64)
    for sparse in ((False, True) if table is MODELS else (False,))
]


def own_scores(model: Any, X: Any) -> np.ndarray:
    scores = model.predict_proba(X) if hasattr(model, "predict_proba") else model.decision_function(X)
    return np.asarray(scores)


@pytest.mark.fast(34)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_and_scores_are_those_of_the_library(case: Case) -> None:
    """Trained on the user's matrix, the library's own answers about that matrix; genes shuffled and more of them."""
    adata = cells(case.dtype)
    X = sp.csr_matrix(adata.X) if case.sparse else adata.X
    adata.X = X
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    model = case.make().fit(X[::2], codes[::2])
    settings: dict[str, Any] = {"classes": TYPES, "genes": list(adata.var_names)}
    held = [type(part).__module__ for part in [model, *model.get_params(deep=True).values()]]
    if case.sparse and any(name.startswith("xgboost") for name in held):
        with pytest.raises(adv.errors.ClassifierError, match=r"sparse='missing'.*sparse='zero'.*--sparse"):
            wrap(model, **settings).predict(adata)
        settings["sparse"] = "missing"
    labels, scores = np.array(TYPES)[np.ravel(model.predict(X))], own_scores(model, X)
    more = AnnData(
        sp.csr_matrix(sp.hstack([X, X[:, :2]])) if case.sparse else np.hstack([X, X[:, :2]]),
        obs=adata.obs,
        var=pd.DataFrame(index=[*adata.var_names, "more", "still more"]),
    )
    shuffled = more[:, np.random.default_rng(0).permutation(more.n_vars)].copy()
    for data in (adata, shuffled):
        ours = wrap(model, **settings)
        assert ours.predict(data).tolist() == labels.tolist()
        np.testing.assert_allclose(ours.scores(data), scores, rtol=1e-5, atol=1e-6)


ATTACKED = (
    "forest", "gradient boosting", "XGBoost", "XGBoost, exact", "XGBoost behind scaling", "LightGBM", "logistic",
)  # fmt: skip


@pytest.mark.fast(4)
@pytest.mark.parametrize("name", ATTACKED)
@pytest.mark.parametrize("sparse", [False, True])
def test_an_attack_says_what_the_library_says_of_the_changed_cells(name: str, sparse: bool) -> None:
    adata = cells(n=90, genes=12)
    adata.X = sp.csr_matrix(adata.X) if sparse else adata.X
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    model = MODELS[name]().fit(adata.X, codes)
    settings: dict[str, Any] = {"sparse": "missing"} if sparse and "XGBoost" in name else {}
    ours = wrap(model, classes=TYPES, genes=list(adata.var_names), **settings)
    ask: dict[str, Any] = {"groupby": "cell_type", "target": "T"}
    rows = (adata.obs["cell_type"] == "T").to_numpy()
    for modification in ("perc99", "fixed:0", "perc1"):
        frame = adv.attacks.SingleGene(modification, search="exact")(adata, ours, **ask).to_frame()
        for row in frame.itertuples():
            changed = adv.modify(adata, [row.gene], modification, **ask)
            said = np.array(TYPES)[np.ravel(model.predict(changed.X))][rows]
            names, counts = np.unique(said, return_counts=True)
            assert (row.label, row.share) == (names[counts.argmax()], pytest.approx(counts.max() / counts.sum()))


@pytest.mark.parametrize("name", ["XGBoost", "LightGBM", "forest of scaled", "XGBoost behind scaling"])
def test_a_model_trained_on_a_frame_reads_sparse_data_as_the_frame(name: str) -> None:
    """Its names are known, so the user's own container is a frame, whatever holds the data now."""
    adata = cells(np.float32)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    frame = adata.to_df()
    model = MODELS[name]().fit(frame[::2], codes[::2])
    adata.X = sp.csr_matrix(adata.X)
    ours = wrap(model, classes=TYPES)
    assert ours.predict(adata).tolist() == np.array(TYPES)[model.predict(frame)].tolist()
    np.testing.assert_allclose(ours.scores(adata), model.predict_proba(frame), rtol=1e-5, atol=1e-6)


def test_lightgbm_finds_genes_with_spaces_in_their_names() -> None:
    adata = cells()
    model = lgb().fit(adata.to_df(), adata.obs["cell_type"])
    assert wrap(model).predict(adata).tolist() == model.predict(adata.to_df()).tolist()
    assert wrap(model, genes=list(adata.var_names)).predict(adata).tolist() == model.predict(adata.to_df()).tolist()
    twice = adata[:, [0, *range(adata.n_vars - 1)]].copy()
    twice.var_names = ["G_0", *adata.var_names[: adata.n_vars - 1]]
    with pytest.raises(adv.errors.GeneMismatchError, match="'G_0', 'G 0'"):
        wrap(model).predict(twice)


@pytest.mark.parametrize("wrapper", [True, False])
def test_xgboost_with_stored_zeros_beside_gaps_is_refused(wrapper: bool) -> None:
    """XGBoost takes a stored zero for a value and a gap for missing; an attack cannot keep them apart."""
    adata = cells()
    adata.X = sp.csr_matrix(adata.X)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    model = xgb().fit(adata.X, codes)
    ours = Boosted(model if wrapper else model.get_booster(), genes=list(adata.var_names), sparse="missing")
    ours.predict(adata)
    dense = adata.X.toarray()
    rows, columns = np.nonzero(dense == 0)
    stored = sp.csr_matrix((np.append(dense[dense != 0], np.zeros(len(rows) // 2)), (
        np.append(np.nonzero(dense)[0], rows[::2][: len(rows) // 2]),
        np.append(np.nonzero(dense)[1], columns[::2][: len(rows) // 2]),
    )), shape=dense.shape)  # fmt: skip
    adata.X = stored.astype(np.float32)
    with pytest.raises(adv.errors.ClassifierError, match="eliminate_zeros"):
        ours.predict(adata)


def test_xgboost_readings_are_kept_in_files_and_told_on_the_way(tmp_path: Any) -> None:
    adata = cells()
    adata.X = sp.csr_matrix(adata.X)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    model = xgb().fit(adata.X, codes)
    model.save_model(tmp_path / "model.json")
    named: dict[str, Any] = {"classes": TYPES, "genes": list(adata.var_names)}
    with pytest.raises(adv.errors.ClassifierError, match="missing"):
        adv.classifiers.load(tmp_path / "model.json", **named).predict(adata)
    right = np.array(TYPES)[model.predict(adata.X)].tolist()
    for settings in ({"sparse": "missing"}, {"missing": 0.0}):
        ours = adv.classifiers.load(tmp_path / "model.json", **named, **settings)
        assert ours.predict(adata).tolist() == right
        ours.save(tmp_path / "ours.npz")
        assert adv.classifiers.load(tmp_path / "ours.npz").predict(adata).tolist() == right
    dense = adata.copy()
    dense.X = adata.X.toarray()
    assert (
        wrap(model, **named, sparse="missing").predict(dense).tolist()
        == np.array(TYPES)[model.predict(dense.X)].tolist()
    )


def test_an_attack_is_refused_where_gaps_can_matter_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both readings agree on the unmodified cluster, but a changed cell can reach a node where they do not."""
    adata = cells(n=90, genes=12)
    adata.X = sp.csr_matrix(adata.X)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    ours = wrap(xgb().fit(adata.X, codes), classes=TYPES, genes=list(adata.var_names))
    assert isinstance(ours, Boosted)
    own = Boosted._own
    monkeypatch.setattr(ours, "_own", lambda X: own(ours, X.toarray() if sp.issparse(X) else X))  # as if they agreed
    with pytest.raises(adv.errors.ClassifierError, match="can give other answers for changed cells"):
        adv.attacks.SingleGene("perc99")(adata, ours, groupby="cell_type", target="T")


@pytest.mark.parametrize("inside", [False, True])
def test_a_survey_stops_before_its_first_attack_where_nothing_says_how_gaps_are_meant(
    tmp_path: Path, inside: bool
) -> None:
    adata = cells(n=90, genes=12)
    adata.X = sp.csr_matrix(adata.X)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    model = make_pipeline(MaxAbsScaler(), xgb()) if inside else xgb()
    names = {"classes": TYPES, "genes": list(adata.var_names)}
    ours = wrap(model.fit(adata.X, codes), **names)
    asked = {
        "attacks": adv.attacks.SingleGene("perc99", genes=[adata.var_names[0]]),
        "groupby": "cell_type",
        "progress": False,
    }
    with pytest.raises(adv.errors.ClassifierError, match="sparse='missing'"):
        adv.survey(adata, ours, out=tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()
    both = adv.survey(adata, {"trees": ours, "other": lambda X: np.repeat("B", len(X))}, **asked).to_frame()
    assert set(both.loc[both["error"].notna(), "classifier"]) == {"trees"}
    assert not adv.survey(adata, wrap(model, sparse="missing", **names), **asked).errors


@pytest.mark.parametrize("kind", ["wrapper", "booster"])
def test_rounds_follow_the_object_unless_they_are_told(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """An early-stopped XGBClassifier uses the best rounds, its Booster all of them."""
    xgboost = pytest.importorskip("xgboost")
    adata = cells(n=200)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    train = np.arange(200) % 2 == 0
    model = xgboost.XGBClassifier(n_estimators=60, learning_rate=0.8, early_stopping_rounds=50, n_jobs=1)
    model.fit(adata.X[train], codes[train], eval_set=[(adata.X[~train], codes[~train])], verbose=False)
    booster, best = model.get_booster(), model.best_iteration + 1
    assert best < booster.num_boosted_rounds()

    def own(rounds: int) -> np.ndarray:
        return np.asarray(booster.predict(xgboost.DMatrix(adata.X), iteration_range=(0, rounds)))

    obj = model if kind == "wrapper" else booster
    for rounds, used in ((None, best if kind == "wrapper" else 0), ("best", best), ("all", 0), (3, 3)):
        ours = wrap(obj, genes=list(adata.var_names), rounds=rounds)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours.scores(adata), own(used), rtol=0, atol=1e-6)
    assert "early stopping found the best" in caplog.text or kind == "wrapper"
    with pytest.raises(adv.errors.ParameterError, match=r"rounds must be 'best', 'all' or a number from 1 to"):
        wrap(obj, rounds=0)


def test_lightgbm_rounds() -> None:
    adata = cells(n=200)
    model = lgb().fit(adata.X, adata.obs["cell_type"])
    for rounds, used in ((None, None), ("all", -1), (3, 3)):
        ours = wrap(model, genes=list(adata.var_names), rounds=rounds)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours.scores(adata), model.predict_proba(adata.X, num_iteration=used), atol=1e-12)


def test_settings_of_prediction_are_kept_in_files(tmp_path: Any) -> None:
    adata = cells()
    model = lgb(pred_early_stop=True, pred_early_stop_freq=2, pred_early_stop_margin=0.5)
    model.fit(adata.X, adata.obs["cell_type"])
    ours = wrap(model, genes=list(adata.var_names))
    ours.save(tmp_path / "model.npz")
    again = adv.classifiers.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.scores(adata), ours.scores(adata))


def test_scores_of_sgd_are_its_probabilities_and_queries_say_what_they_take() -> None:
    adata = cells()
    model = SGDClassifier(loss="log_loss", random_state=0).fit(adata.X, adata.obs["cell_type"])
    ours = wrap(model, genes=list(adata.var_names))
    np.testing.assert_allclose(ours.scores(adata), model.predict_proba(adata.X), rtol=1e-5, atol=1e-9)
    assert ours.scores_are == "decision_function"  # type: ignore[attr-defined]
    far = adv.modify(adata, adata.var_names[:3], "fixed:1e6", groupby="cell_type", target="T")
    assert ours.predict(far).tolist() == model.predict(far.X).tolist()


@pytest.mark.parametrize("form", ["csr_matrix", "csr_array", "csc_matrix"])
def test_linear_models_with_sparse_coefficients(form: str) -> None:
    adata = cells()
    dense = LogisticRegression(max_iter=300).fit(adata.X, adata.obs["cell_type"])
    right = wrap(dense, genes=list(adata.var_names))
    sparse = LogisticRegression(max_iter=300).fit(adata.X, adata.obs["cell_type"]).sparsify()
    sparse.coef_ = getattr(sp, form)(sparse.coef_)
    ours = wrap(sparse, genes=list(adata.var_names))
    ask: dict[str, Any] = {"groupby": "cell_type", "target": "T"}
    one, other = (adv.attacks.SingleGene("perc99")(adata, model, **ask).to_frame() for model in (ours, right))
    columns = ["gene", "label", "share"]
    pd.testing.assert_frame_equal(one[columns], other[columns])


@pytest.mark.parametrize("kind", [RandomForestClassifier, DecisionTreeClassifier])
def test_trees_that_met_nan_in_training_are_read(kind: Any) -> None:
    """A node that tells NaN from numbers has an infinite threshold."""
    from adverscarial.cells import Cluster
    from adverscarial.classifiers.scorers.trees import TreeScorer

    adata = cells()
    holes = adata.X.copy()
    holes[np.arange(0, 150, 2), 0] = np.nan  # half of the cells: worth a split of its own
    codes = (np.isnan(holes[:, 0]) | (adata.X[:, 4] > 1)).astype(int)
    model = kind(random_state=0, max_features=None).fit(holes, codes)
    trees = [model] if kind is DecisionTreeClassifier else model.estimators_
    assert any(np.isinf(tree.tree_.threshold).any() for tree in trees)
    ours = wrap(model, genes=list(adata.var_names))
    scorer = ours.scorer(Cluster(adata, "cell_type", "T"))
    assert isinstance(scorer, TreeScorer)
    rows = (adata.obs["cell_type"] == "T").to_numpy()
    assert list(scorer.baseline.labels) == [str(code) for code in model.predict(adata.X)[rows]]


@pytest.mark.fast(3)
@pytest.mark.parametrize("name", ["forest", "extra trees", "gradient boosting", "XGBoost", "forest of selected"])
def test_values_above_float32_are_rejected_by_the_scorer_as_from_scratch(name: str) -> None:
    adata = cells(np.float64, n=60, genes=12)
    codes = pd.Categorical(adata.obs["cell_type"]).codes.astype(int)
    ours = wrap(MODELS[name]().fit(adata.X, codes), classes=TYPES, genes=list(adata.var_names))
    result = adv.attacks.SingleGene("fixed:1e39", search="exact")(adata, ours, groupby="cell_type", target="T")
    outcomes = result.to_frame().set_index("gene")["outcome"]
    for gene in adata.var_names:
        changed = adv.modify(adata, [gene], "fixed:1e39", groupby="cell_type", target="T")
        try:
            ours.predict(changed)
            assert outcomes[gene] != "rejected"
        except adv.errors.InputRejected:
            assert outcomes[gene] == "rejected"
    assert "rejected" in set(outcomes)


@pytest.mark.slow
def test_check_compares_with_the_library() -> None:
    """A classifier that asks in another number type than the library gets is found out."""
    adata = cells()
    model = MODELS["XGBoost behind scaling"]().fit(adata.X, pd.Categorical(adata.obs["cell_type"]).codes.astype(int))
    if np.array_equal(model.predict_proba(adata.X.astype(np.float64)), model.predict_proba(adata.X)):
        pytest.skip("this version of scikit-learn scales float64 and float32 to the same values")
    ours = wrap(model, classes=TYPES, genes=list(adata.var_names))
    assert adv.classifiers.check(ours, adata, groupby="cell_type")
    ours._smooth = True  # type: ignore[attr-defined]  # as if it could be asked in float64
    assert "as the library says" in adv.classifiers.check(ours, adata, groupby="cell_type").failed
