"""SingleR: answers as the package does on whole genes, and as its published formula does."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import rankdata

from adverscarial import _store
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.check import check
from adverscarial.classifiers.families.singler import SingleR
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.lead import lead_of_answer
from adverscarial.errors import (
    ClassifierError,
    DataError,
    GeneMismatchError,
    InputRejected,
    MissingDependencyError,
    ParameterError,
)
from classifiers.scorer_law import check_scorer_law

package = pytest.importorskip("singler")


@pytest.fixture(scope="module")
def halves(pbmc_small: AnnData) -> tuple[AnnData, AnnData]:
    """Five cell types, every other cell for training; the data's genes are the first 300."""
    kinds = ["CD14+ Monocyte", "CD19+ B", "CD34+", "CD56+ NK", "Dendritic"]
    cells = pbmc_small[pbmc_small.obs["cell_type"].isin(kinds), :300].copy()
    return cells[::2].copy(), cells[1::2].copy()


@pytest.fixture(scope="module")
def model(halves: tuple[AnnData, AnnData]) -> SingleR:
    return SingleR().fit(halves[0], "cell_type")


def _dense(adata: AnnData) -> np.ndarray:
    return adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)


def _labels(adata: AnnData) -> list[str]:
    return list(adata.obs["cell_type"].astype(str))


def _direct(built: Any, X: np.ndarray, **settings: Any) -> tuple[list[str], np.ndarray]:
    """What the package says of cells x genes: labels and scores."""
    answer = package.classify_single(np.array(X.T, dtype=np.float64), built, **settings)
    return list(answer["best"]), np.column_stack([answer["scores"].column(name) for name in built.labels])


@pytest.mark.fast(1)
@pytest.mark.parametrize("settings", [{}, {"quantile": 0.5}, {"fine_tune_threshold": 0.2}, {"fine_tune": False}])
def test_answers_as_the_package_does_with_all_genes(halves: tuple[AnnData, AnnData], settings: dict[str, Any]) -> None:
    train, test = halves
    built = package.train_single(_dense(train).T, _labels(train), list(train.var_names))
    given = {"use_fine_tune" if name == "fine_tune" else name: value for name, value in settings.items()}
    labels, scores = _direct(built, _dense(test), **given)
    model = SingleR(**settings).fit(train, "cell_type")
    assert model.predict(test).tolist() == labels
    np.testing.assert_array_equal(model.scores(test), scores)
    assert list(model.scores(test).columns) == list(model.classes) == list(built.labels)
    assert list(model.genes) == list(built.marker_subset())
    assert model.markers["CD34+"]["CD19+ B"] == list(built.markers["CD34+"]["CD19+ B"])


def test_scores_are_quantiles_of_rank_correlations(halves: tuple[AnnData, AnnData]) -> None:
    train, test = halves
    model = SingleR(fine_tune=False).fit(train, "cell_type")
    ours, theirs = (rankdata(_dense(adata[:, model.genes]), axis=1) for adata in (test, train))
    rho = np.corrcoef(ours, theirs)[: len(ours), len(ours) :]
    labels = np.array(_labels(train))
    expected = np.column_stack([np.quantile(rho[:, labels == name], 0.8, axis=1) for name in model.classes])
    np.testing.assert_allclose(model.scores(test), expected, rtol=0, atol=1e-9)
    assert model.predict(test).tolist() == [model.classes[k] for k in expected.argmax(axis=1)]


def test_knows_the_cells_and_says_when_labels_leave_the_best_score(
    halves: tuple[AnnData, AnnData], model: SingleR
) -> None:
    _, test = halves
    said = model.predict(test)
    assert (said.to_numpy() == np.array(_labels(test))).mean() > 0.8
    assert not model.labels_are_argmax
    assert (said != model.scores(test).idxmax(axis=1)).any()
    assert SingleR(fine_tune=False).labels_are_argmax


def test_only_ranks_within_a_cell_matter(halves: tuple[AnnData, AnnData], model: SingleR) -> None:
    X = _dense(halves[1][:, model.genes]).astype(np.float64)
    factor = np.random.default_rng(0).uniform(0.5, 3, size=(len(X), 1))
    before, after = model.decide(X), model.decide(np.expm1(X * factor) - 7)
    np.testing.assert_array_equal(before.labels, after.labels)
    np.testing.assert_allclose(before.scores, after.scores, rtol=0, atol=1e-12)
    beyond = [np.where(np.arange(X.shape[1]) == 3, value, X) for value in (100.0, 1e9, np.inf)]
    for other in beyond[1:]:
        np.testing.assert_array_equal(model.decide(beyond[0]).scores, model.decide(other).scores)


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", ["dense", "sparse", "shuffled"])
def test_a_prebuilt_reference_answers_the_same(halves: tuple[AnnData, AnnData], form: str) -> None:
    train, test = halves
    X = sp.csc_matrix(_dense(train).T) if form == "sparse" else _dense(train).T
    order = np.random.default_rng(2).permutation(250) if form == "shuffled" else np.arange(300)
    test_features = [str(gene) for gene in train.var_names[order]] if form == "shuffled" else None
    built = package.train_single(X, _labels(train), list(train.var_names), test_features=test_features, num_de=20)
    said, scores = _direct(built, _dense(test)[:, order])
    model = SingleR.from_prebuilt(built)
    assert model.predict(test).tolist() == said
    np.testing.assert_allclose(model.scores(test), scores, rtol=0, atol=1e-12)
    assert list(model.classes) == list(built.labels)


def test_labels_may_be_numbers(halves: tuple[AnnData, AnnData], model: SingleR) -> None:
    train, test = halves
    numbers = {name: 2 * k + 2 for k, name in enumerate(model.classes)}  # as text, 10 comes before 2
    built = package.train_single(_dense(train).T, [numbers[name] for name in _labels(train)], list(train.var_names))
    numbered = SingleR.from_prebuilt(built)
    assert numbered.classes == ("2", "4", "6", "8", "10")
    assert numbered.predict(test).tolist() == [str(numbers[name]) for name in model.predict(test)]
    np.testing.assert_allclose(numbered.scores(test), model.scores(test), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_stored_read_and_sent_to_another_process(
    halves: tuple[AnnData, AnnData], model: SingleR, tmp_path: Path
) -> None:
    _, test = halves
    model.save(tmp_path / "model.npz")
    read = SingleR.from_state(*_store.load(tmp_path / "model.npz", "classifier"))
    for again in (read, pickle.loads(pickle.dumps(model))):
        assert again.predict(test).tolist() == model.predict(test).tolist()
        pd.testing.assert_frame_equal(again.scores(test), model.scores(test), check_exact=True)
        assert repr(again) == repr(model)
    assert model.family == "singler"
    meta, arrays = model.state()
    with pytest.raises(DataError, match=r"shape \(.*\), expected"):
        SingleR.from_state(meta, {**arrays, "reference": arrays["reference"][1:]})


def test_balance_draws_by_seed(halves: tuple[AnnData, AnnData]) -> None:
    train, test = halves
    first, same, other = (SingleR(balance=8, seed=seed).fit(train, "cell_type").scores(test) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, same)
    assert not first.equals(other)
    assert repr(SingleR(balance=8, seed=1)) == "SingleR(balance=8, seed=1)"
    assert repr(SingleR()) == "SingleR()"


def test_markers_are_all_that_is_read(halves: tuple[AnnData, AnnData]) -> None:
    train, test = halves
    model = SingleR(num_de=2).fit(train, "cell_type")
    cluster = Cluster(test, "cell_type", "CD19+ B")
    read = cluster.genes[model.scorer(cluster).reads(np.arange(300))]
    assert set(read) == {gene for against in model.markers.values() for genes in against.values() for gene in genes}
    assert len(read) < 100
    pd.testing.assert_series_equal(model.predict(test[:, sorted(read)].copy()), model.predict(test))
    with pytest.raises(GeneMismatchError):
        model.predict(test[:, sorted(read)[1:]].copy())


@pytest.mark.slow
def test_the_scorer_answers_as_full_prediction(halves: tuple[AnnData, AnnData]) -> None:
    train, test = halves
    check_scorer_law(
        SingleR(num_de=5, balance=10).fit(train, "cell_type"), test, groupby="cell_type", target="CD34+", games=2
    )


@pytest.mark.fast(2)
@pytest.mark.parametrize(
    "settings",
    [{}, {"fine_tune": False}, {"quantile": 0.5, "fine_tune_threshold": 0.3}, {"quantile": 1.0, "num_de": 3}],
)
def test_every_changed_cell_is_called_what_the_package_calls_it(
    halves: tuple[AnnData, AnnData], settings: dict[str, Any]
) -> None:
    """One gene changed in one cell, over all genes, cells of all types: labels and leads of a full prediction."""
    train, test = halves
    mixed = test[::6].copy()
    mixed.obs["all"] = ["another"] * 2 + ["one"] * (mixed.n_obs - 2)
    model = SingleR(balance=12, **settings).fit(train, "cell_type")
    cluster = Cluster(mixed, "all", "one")
    scorer, columns = model.scorer(cluster), np.arange(len(model.genes))
    rng = np.random.default_rng(0)
    X = cluster.values(model.align(cluster.genes)).astype(np.float64)
    for new in (np.zeros(X.shape), np.full(X.shape, 1e9), rng.permuted(X, axis=0), X):
        codes, gaps = scorer._answers(columns, new)
        for gene in columns:
            changed = X.copy()
            changed[:, gene] = new[:, gene]
            said = model.decide(changed)
            assert [model.classes[code] for code in codes[:, gene]] == said.labels.tolist()
            if (lead := lead_of_answer(scorer.baseline)) is not None:
                np.testing.assert_allclose(gaps[:, gene], lead.gaps(said.scores), rtol=0, atol=1e-12)


def test_where_scores_tie_the_package_decides(halves: tuple[AnnData, AnnData], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two types with the same reference cells, and cells without any difference between their genes."""
    train, test = halves
    b = train[train.obs["cell_type"] == "CD19+ B"]
    twin = b.copy()
    twin.obs["cell_type"] = "B again"
    twin.obs_names = [f"{name} again" for name in twin.obs_names]
    model = SingleR(num_de=4).fit(ad.concat([train, twin]), "cell_type")
    flat = test.copy()
    flat.X = _dense(flat)
    flat.X[np.flatnonzero(flat.obs["cell_type"] == "CD19+ B")[:3]] = 1.0
    cluster = Cluster(flat, "cell_type", "CD19+ B")
    scorer, asked = model.scorer(cluster), []
    decide = model.decide
    monkeypatch.setattr(model, "decide", lambda X: asked.append(len(X)) or decide(X))
    genes, values = np.arange(300), np.zeros((1, 300), dtype=np.float32)
    found = scorer.each(genes, values)
    assert sum(asked) > 0
    expected = GeneralScorer(model, cluster).each(genes, values)
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_array_equal(found.share, expected.share)


@pytest.mark.slow
def test_a_scan_is_not_a_prediction_per_gene(
    halves: tuple[AnnData, AnnData], model: SingleR, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = model.scorer(Cluster(halves[1], "cell_type", "CD14+ Monocyte"))
    monkeypatch.setattr(SingleR, "decide", lambda *_: pytest.fail("the package was asked again"))
    found = scorer.each(np.arange(300), np.full((1, 300), 2.0, dtype=np.float32))
    assert set(found.label) == {scorer.baseline.label}
    assert scorer.incremental


@pytest.mark.slow
def test_passes_the_conformance_suite(halves: tuple[AnnData, AnnData]) -> None:
    train, test = halves
    for fine_tune in (True, False):
        model = SingleR(num_de=5, balance=10, fine_tune=fine_tune).fit(train, "cell_type")
        report = check(model, test, groupby="cell_type")
        assert report, report


class NothingIsHandedOn:
    """Stands in for the package where a check of ours must come first."""

    class TrainedSingleReference:
        """A reference; its markers are those of the test."""

        def __init__(self, markers: list[int]) -> None:
            self.markers = markers

        def marker_subset(self, indices_only: bool) -> list[int]:
            return self.markers

    @staticmethod
    def train_single(*arguments: Any, **settings: Any) -> Any:
        return NothingIsHandedOn.TrainedSingleReference([])


def test_refuses_what_the_package_does_not_check(
    halves: tuple[AnnData, AnnData], model: SingleR, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package trusts the shape and the markers that it is given: singler 0.5 ended the process over some."""
    n = len(model.genes)
    assert model.decide(np.zeros((0, n))).scores.shape == (0, 5)
    monkeypatch.setitem(sys.modules, "singler", NothingIsHandedOn)
    with pytest.raises(DataError, match=rf"cells x {n} marker genes, got shape \(2, 3\)"):
        model.decide(np.zeros((2, 3)))
    with pytest.raises(InputRejected, match="1 values are NaN"):
        model.decide(np.where(np.arange(n) == 4, np.nan, np.zeros((1, n))))
    with pytest.raises(DataError, match="found no marker"):
        SingleR().fit(halves[0], "cell_type")
    with pytest.raises(DataError, match="found no marker"):
        SingleR.from_prebuilt(NothingIsHandedOn.TrainedSingleReference([]))
    stored = pickle.loads(pickle.dumps(model))  # its form for the package is made again
    with pytest.raises(DataError, match="found no marker"):
        stored.predict(halves[1])


def test_refused_settings_say_why(halves: tuple[AnnData, AnnData]) -> None:
    for settings, word in (({"quantile": 1.2}, "quantile"), ({"num_de": 0}, "num_de")):
        with pytest.raises(ParameterError, match=word):
            SingleR(**settings).fit(halves[0], "cell_type")
    with pytest.raises(ParameterError, match="fine_tune_threshold"):
        SingleR(fine_tune_threshold=-0.1).fit(halves[0], "cell_type")
    with pytest.raises(ParameterError, match="got a dict"):
        SingleR.from_prebuilt({})
    with pytest.raises(ClassifierError, match="call fit"):
        SingleR().predict(halves[1])
    with pytest.raises(ClassifierError, match="call fit"):
        SingleR().state()


def test_says_what_to_install(halves: tuple[AnnData, AnnData], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "singler", None)
    with pytest.raises(MissingDependencyError, match=r"adverscarial\[singler\]"):
        SingleR().fit(halves[0], "cell_type")


@pytest.mark.slow
def test_the_package_is_imported_only_when_used() -> None:
    code = "import sys, adverscarial.classifiers.families.singler; sys.exit('singler' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
