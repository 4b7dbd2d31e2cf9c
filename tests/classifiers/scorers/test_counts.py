"""Counts behind log-normalisation: the quick scan says of each gene what classifying the cluster again says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import adverscarial as adv
from adverscarial.classifiers.scorers import counts as module
from adverscarial.classifiers.scorers.counts import LogCountScorer
from adverscarial.classifiers.scorers.general import GeneralScorer

N_GENES = 24
NAMES = [f"G{k}" for k in range(N_GENES)]


def drawn(seed: int, types: int = 3, dtype: type = np.float32) -> AnnData:
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.4, 4.0, size=(types, N_GENES))
    kind = np.arange(15 * types) % types
    X = rng.poisson(rates[kind])
    X[1] = 0  # a cell without any count
    X[2, 1:] = 0  # and one that one gene leaves without any
    obs = pd.DataFrame({"type": np.array(["B", "NK", "T"])[kind]}, index=[f"c{k}" for k in range(len(X))])
    return AnnData(sp.csr_matrix(X.astype(dtype)), obs=obs, var=pd.DataFrame(index=NAMES))


def sklearn_model(estimator: object, types: int = 3) -> Callable[[], adv.classifiers.Classifier]:
    def train() -> adv.classifiers.Classifier:
        cells = adv.datasets.preprocess(drawn(100, types), scale=False)
        # two genes are not read, and the others come in another order than the data's
        genes = NAMES[:1:-1]
        estimator.fit(cells[:, genes].X.toarray(), cells.obs["type"])
        return adv.classifiers.wrap(estimator, genes=genes)

    return train


def mlp() -> adv.classifiers.Classifier:
    pytest.importorskip("torch")
    cells = adv.datasets.preprocess(drawn(100), scale=False)
    settings = {"epochs": 30, "batch_size": 8, "dropout": 0, "learning_rate": 0.01, "balance": None, "validation": 0}
    return adv.classifiers.MLP((8, 4), progress=False, device="cpu", **settings).fit(cells, "type")


MODELS: dict[str, Callable[[], adv.classifiers.Classifier]] = {
    "logistic": sklearn_model(LogisticRegression(max_iter=500)),
    "two classes": sklearn_model(LogisticRegression(max_iter=500), types=2),
    "scaled in a pipeline": sklearn_model(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))),
    "forest": sklearn_model(RandomForestClassifier(15, min_samples_leaf=2, random_state=0)),
    "boosted": sklearn_model(GradientBoostingClassifier(n_estimators=6, random_state=0)),
    "scRF": lambda: adv.classifiers.RandomForest(n_estimators=20, seed=0).fit(
        adv.datasets.preprocess(drawn(100), scale=False), "type"
    ),
    "markers": lambda: adv.classifiers.Markers(
        {"B": ["G0", "G3", "G7"], "NK": ["G1", "G4"], "T": ["G2", "G9"]}, unknown_below=0.9
    ),
    "scMLP": mlp,
    "clipped by a guard": lambda: adv.classifiers.Guard(
        sklearn_model(LogisticRegression(max_iter=500))(), action="clip", margin=0.0
    ).fit(adv.datasets.preprocess(drawn(100), scale=False)),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> adv.classifiers.Classifier:
    return MODELS[request.param]()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the quick way also where it gains nothing, a few cells at a time."""
    monkeypatch.setattr(module, "_GAIN", np.inf)
    monkeypatch.setattr(module, "_BYTES", 40 * 8 * N_GENES)
    monkeypatch.setattr(module, "_PAIRS", 5 * N_GENES)


def both(model: adv.classifiers.Classifier, cells: AnnData, target: str) -> tuple[LogCountScorer, GeneralScorer]:
    whole = adv.classifiers.wrap(model, preprocess="log1p")
    cluster = adv.cells.Cluster(cells, "type", target)
    scorer = whole.scorer(cluster)
    assert isinstance(scorer, LogCountScorer)
    return scorer, GeneralScorer(whole.bind(cluster.genes), cluster)


@pytest.mark.fast("scaled in a pipeline", "two classes")
@pytest.mark.usefixtures("always")
@settings(max_examples=12, derandomize=True)
@given(
    seed=st.integers(0, 10**6), dtype=st.sampled_from([np.float32, np.float64]), target=st.sampled_from(["B", "NK"]),
    how=st.sampled_from(["one value", "of other cells", "drawn", "some are no counts"]), changed=st.booleans(),
)  # fmt: skip
def test_a_scan_equals_classifying_again(
    model: adv.classifiers.Classifier, seed: int, dtype: type, target: str, how: str, changed: bool
) -> None:
    cells = drawn(seed, types=2 if len(model.classes) == 2 else 3, dtype=dtype)
    quick, general = both(model, cells, target)
    rng = np.random.default_rng(seed)
    genes = rng.permutation(N_GENES)
    n = len(quick.baseline.labels)
    if how == "one value":
        values = rng.choice([0, 1, 2, 7, 10_000], size=(1, N_GENES))
    elif how == "of other cells":
        values = cells.X.toarray()[rng.integers(0, cells.n_obs, n)][:, genes]
    else:
        values = rng.integers(0, 9, size=(n, N_GENES))
    values = values.astype(dtype)
    if how == "some are no counts":
        values[:, 3] += 0.5
        values[:, 5] = -1
    if changed:
        for scorer in (quick, general):
            scorer.accept(genes[:2], values[:, :2])
    ours, theirs = quick.each(genes, values), general.each(genes, values)
    assert (ours.label == theirs.label).all()
    assert (ours.rejected == theirs.rejected).all()
    np.testing.assert_array_equal(ours.share, theirs.share)
    assert (ours.lead is None) == (theirs.lead is None)
    if ours.lead is not None:
        np.testing.assert_allclose(ours.lead, theirs.lead, rtol=1e-6, atol=1e-8)


@pytest.mark.fast(3)
@pytest.mark.usefixtures("always")
def test_the_whole_attack_is_that_of_the_classifier_from_scratch(model: adv.classifiers.Classifier) -> None:
    cells = drawn(7, types=2 if len(model.classes) == 2 else 3)
    whole = adv.classifiers.wrap(model, preprocess="log1p")
    result = adv.attacks.SingleGene("fixed:30")(cells, whole, groupby="type", target="B")
    assert (result.search, sum(result.counts.values())) == ("exact", N_GENES)
    assert result.verify(cells, whole, genes=list(cells.var_names))


@pytest.mark.slow
@pytest.mark.usefixtures("always")
def test_the_classifier_is_not_asked_for_each_gene(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["forest"]()
    cells = drawn(3)
    quick, _ = both(model, cells, "B")
    monkeypatch.setattr(GeneralScorer, "each", None)
    quick.each(np.arange(N_GENES), np.full((1, N_GENES), 3.0, dtype=np.float32))


@pytest.mark.parametrize("values", [np.log1p, lambda X: X + 0.5 * (X > 0)])
def test_values_that_are_no_counts_are_classified_again(values: Callable[[np.ndarray], np.ndarray]) -> None:
    cells = drawn(3)
    cells.X = values(cells.X.toarray())
    quick, general = both(MODELS["logistic"](), cells, "B")
    assert not quick.scans
    genes, new = np.arange(N_GENES), np.full((1, N_GENES), 2.0, dtype=np.float32)
    np.testing.assert_array_equal(quick.each(genes, new).share, general.each(genes, new).share)


def test_functions_have_no_scan() -> None:
    def model(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > X[:, 1], "B", "T")

    whole = adv.classifiers.wrap(model, preprocess="log1p")
    assert not whole.scorer(adv.cells.Cluster(drawn(3), "type", "B")).scans


@pytest.mark.fast(1)
@pytest.mark.parametrize("name", ["markers", "logistic"])
def test_weighted_sums_of_counts_hold_no_normalised_cell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, general = both(MODELS[name](), drawn(3), "B")
    asked = []
    normalised = module._Normalised.answers
    monkeypatch.setattr(module._Normalised, "answers", lambda *given: asked.append(given) or normalised(*given))
    values = np.full((1, N_GENES), 4, np.float32)
    monkeypatch.setattr(module, "_GAIN", np.inf)
    ours, theirs = quick.each(np.arange(N_GENES), values), general.each(np.arange(N_GENES), values)
    assert not asked
    assert (ours.label == theirs.label).all()
    np.testing.assert_array_equal(ours.share, theirs.share)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(8))
def test_ties_are_decided_as_in_a_full_prediction(seed: int) -> None:
    """Two types with the same expression in other genes: only the rounding of the sums tells them apart."""
    cells, rng = drawn(seed), np.random.default_rng(seed)
    X = rng.poisson(2.0, size=(cells.n_obs, N_GENES))
    for row in X:
        row[10:20] = rng.permutation(row[:10])
    cells.X = sp.csr_matrix(X.astype(np.float32))
    markers = {"B": NAMES[:10], "NK": NAMES[10:20], "T": NAMES[20:22]}
    quick, general = both(adv.classifiers.Markers(markers), cells, "B")
    genes = np.arange(N_GENES)
    for value in (1, 3):
        ours, theirs = (s.each(genes, np.full((1, N_GENES), value, np.float32)) for s in (quick, general))
        np.testing.assert_array_equal(ours.share, theirs.share)
        assert (ours.label == theirs.label).all()
