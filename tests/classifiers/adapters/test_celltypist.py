"""CellTypist's models: equal to ``celltypist.annotate``, its input check included."""

import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from adverscarial import _store, errors
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import wrap
from adverscarial.classifiers.adapters.celltypist import CellTypist, CellTypistScorer, load_celltypist
from adverscarial.modifications.base import with_values
from classifiers.scorer_law import HUGE, check_scorer_law

TARGET = "CD14+ Monocyte"
INSIDE = (0.0, 0.5, 1.0, 3.0, 9.0)  # values that the input check allows


@pytest.fixture(scope="module")
def celltypist(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package, which makes a folder when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELLTYPIST_FOLDER", str(tmp_path_factory.mktemp("celltypist")))
        return pytest.importorskip("celltypist")


@pytest.fixture(scope="module")
def cells(pbmc_small: AnnData) -> AnnData:
    """700 cells, 192 genes, none above what CellTypist allows."""
    cells = pbmc_small[:, ::4].copy()
    assert cells.X.min() >= 0
    assert cells.X.max() <= 9.22
    return cells


def train(celltypist: Any, cells: AnnData, labels: Any = "cell_type", **more: Any) -> Any:
    return celltypist.train(
        cells, labels, use_SGD=True, check_expression=False, max_iter=20, random_state=0, tol=None, **more
    )


@pytest.fixture(scope="module")
def model(celltypist: Any, cells: AnnData) -> Any:
    """A model of all ten types, on three quarters of the genes."""
    return train(celltypist, cells[:, :144].copy())


@pytest.fixture(scope="module")
def two(celltypist: Any, cells: AnnData) -> Any:
    """A model of two classes: one row of weights."""
    model = train(celltypist, cells, np.where(cells.obs["cell_type"] == TARGET, "monocyte", "another"))
    assert model.classifier.coef_.shape[0] == 1
    return model


def annotated(celltypist: Any, cells: AnnData, model: Any) -> Any:
    return celltypist.annotate(cells.copy(), model=model, majority_voting=False)


def assert_equal_to_annotate(celltypist: Any, cells: AnnData, model: Any) -> None:
    truth = annotated(celltypist, cells, model)
    classifier = wrap(model)
    assert isinstance(classifier, CellTypist)
    np.testing.assert_array_equal(
        classifier.predict(cells).to_numpy(), truth.predicted_labels["predicted_labels"].astype(str)
    )
    # bit for bit as a rule; the last bit may depend on how many cells BLAS multiplies at once
    pd.testing.assert_frame_equal(
        CellTypist(model, report="decision").scores(cells), truth.decision_matrix, rtol=1e-13, atol=1e-12
    )
    pd.testing.assert_frame_equal(classifier.scores(cells), truth.probability_matrix, rtol=1e-12, atol=1e-300)


def test_equal_to_annotate(celltypist: Any, cells: AnnData, model: Any, two: Any) -> None:
    for adata in (cells, cells[:, ::-1].copy(), cells[::7].copy()):
        assert_equal_to_annotate(celltypist, adata, model)
        assert_equal_to_annotate(celltypist, adata, two)
    dense = cells.copy()
    dense.X = dense.X.toarray().astype(np.float64)
    assert_equal_to_annotate(celltypist, dense, model)


def test_equal_to_annotate_where_genes_are_missing(celltypist: Any, cells: AnnData, model: Any) -> None:
    """Genes of the model that the data lacks are left out; genes that the model lacks are ignored."""
    some = cells[:, 100:][:, ::-1].copy()
    assert 0 < some.var_names.isin(model.features).sum() < len(model.features)
    assert_equal_to_annotate(celltypist, some, model)
    with pytest.raises(ValueError, match="No features overlap"):
        annotated(celltypist, cells[:, 150:], model)
    with pytest.raises(errors.GeneMismatchError, match="None of the 144 genes"):
        wrap(model).predict(cells[:, 150:].copy())


def test_equal_to_annotate_without_centring_and_from_logistic_regression(celltypist: Any, cells: AnnData) -> None:
    dense = cells.copy()
    dense.X = dense.X.toarray()  # annotate itself fails on sparse cells where nothing is centred
    assert_equal_to_annotate(celltypist, dense, train(celltypist, dense, with_mean=False))
    assert_equal_to_annotate(celltypist, cells, train(celltypist, cells, feature_selection=True, top_genes=20))

    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    X = cells.to_df().to_numpy()
    scaler = StandardScaler().fit(X)
    linear = LogisticRegression(max_iter=50, C=0.01).fit(np.minimum(scaler.transform(X), 10), cells.obs["cell_type"])
    linear.features = np.array(cells.var_names)
    assert_equal_to_annotate(celltypist, cells, celltypist.models.Model(linear, scaler, {}))


def test_scaled_values_are_cut_above_and_not_below(celltypist: Any, cells: AnnData, model: Any) -> None:
    changed = cells.copy()
    changed.X = changed.X.toarray()
    rare = int(np.argmin(model.scaler.scale_))
    assert (9.0 - model.scaler.mean_[rare]) / model.scaler.scale_[rare] > 10
    changed.X[:50, list(cells.var_names).index(model.features[rare])] = 9.0
    assert_equal_to_annotate(celltypist, changed, model)


@pytest.mark.slow
def test_equal_to_annotate_on_real_cells(celltypist: Any, shared: Path) -> None:
    adata = anndata.read_h5ad(shared / "data" / "pbmc3k.h5ad")[::2].copy()
    with pytest.raises(errors.InputRejected, match=r"hold values from 0 to \d{3}, "):
        wrap(train(celltypist, adata[:300, :50].copy(), "cell_type")).predict(adata)
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    adata = adata[:, 2000:3500].copy()
    model = train(celltypist, adata[::2].copy(), "cell_type")
    assert_equal_to_annotate(celltypist, adata, model)
    target = str(adata.obs["cell_type"].value_counts().index[2])
    scorer = check_scorer_law(
        wrap(model), adata, groupby="cell_type", target=target, games=1, moves=6, values=INSIDE + HUGE
    )
    assert scorer.incremental


@pytest.mark.fast(2)
@pytest.mark.parametrize("kind", ["float32 sparse", "float64 dense"])
@pytest.mark.parametrize("which", ["many", "two"])
@pytest.mark.parametrize("report", ["probability", "decision"])
def test_the_scorer_answers_as_full_prediction(
    cells: AnnData, model: Any, two: Any, kind: str, which: str, report: Any
) -> None:
    """All cells are looked at by the input check: some queries are rejected, the others scored."""
    cells = cells.copy()
    if kind == "float64 dense":
        cells.X = cells.X.toarray().astype(np.float64)
    classifier = CellTypist(model if which == "many" else two, report=report)
    for values in (INSIDE, (*INSIDE, 9.3, -0.1, *HUGE)):
        scorer = check_scorer_law(classifier, cells, groupby="cell_type", target=TARGET, games=2, values=values)
        assert type(scorer) is CellTypistScorer


def test_scorer_law_with_missing_genes(cells: AnnData, model: Any) -> None:
    check_scorer_law(wrap(model), cells[:, 100:].copy(), groupby="cell_type", target=TARGET, values=INSIDE)


@pytest.fixture(scope="module")
def long(cells: AnnData) -> AnnData:
    """2,100 cells: of the first two clusters some, of "late" none are among the first 1,000 of the data set."""
    long = anndata.concat([cells, cells, cells], index_unique="-")
    place = np.arange(long.n_obs)
    long.obs["block"] = np.select(
        [place < 600, (place >= 990) & (place < 1010), place >= 1900], ["a", "b", "late"], "c"
    )
    return long


@pytest.mark.parametrize("block", ["a", "b", "late"])
def test_the_input_check_looks_at_the_first_thousand_cells(
    celltypist: Any, long: AnnData, model: Any, block: str
) -> None:
    """Rejected exactly where annotate raises, and scored exactly as annotate scores elsewhere."""
    classifier, cluster = CellTypist(model, report="decision"), Cluster(long, "block", block)
    scorer = classifier.scorer(cluster)
    known, unknown = 5, 180  # the second gene is none of the model's, yet the check sees it
    assert long.var_names[unknown] not in model.features
    n_refused = 0
    for gene in (known, unknown):
        assert bool(scorer.reads(np.array([gene]))[0]) == (gene == known or block != "late")
        for value in (9.22, np.nextafter(np.float32(9.22), np.float32(10)), 50.0, -0.0, -1e-3, -1e6):
            genes, values = np.array([gene]), np.array([[value]])
            alone, answer = scorer.each(genes, values), scorer.together(genes, values)
            changed = with_values(long, cluster.rows, genes, values)
            if answer.rejected:
                n_refused += 1
                with pytest.raises(ValueError, match="Invalid expression matrix"):
                    annotated(celltypist, changed, model)
                assert "refuses values" in answer.reason
                assert alone.rejected.tolist() == [True]
                assert (answer.label, answer.share) == (scorer.baseline.label, 0.0)
                with pytest.raises(errors.InputRejected, match="refuses values"):
                    scorer.fork().accept(genes, values)
                with pytest.raises(errors.InputRejected, match="first 1,000 cells hold values"):
                    classifier.predict(changed)
                continue
            truth = annotated(celltypist, changed, model)
            assert not alone.rejected.any()
            labels = truth.predicted_labels["predicted_labels"].astype(str).to_numpy()[cluster.rows]
            np.testing.assert_array_equal(answer.labels, labels)
            np.testing.assert_allclose(
                answer.scores, truth.decision_matrix.to_numpy()[cluster.rows], rtol=1e-9, atol=1e-9
            )
            assert (alone.label[0], alone.share[0]) == (answer.label, answer.share)
    assert n_refused == (0 if block == "late" else 8)


def test_one_guarded_cell_is_enough_and_others_are_free(long: AnnData, model: Any) -> None:
    cluster = Cluster(long, "block", "b")  # cells 990 to 1009
    scorer = wrap(model).scorer(cluster)
    values = np.ones((20, 1))
    values[10:] = 50.0  # behind the first 1,000
    assert not scorer.together(np.array([3]), values).rejected
    values[9] = 50.0
    assert scorer.together(np.array([3]), values).rejected
    both = scorer.each(np.array([3, 4]), np.column_stack([values, np.ones(20)]))
    assert both.rejected.tolist() == [True, False]


@pytest.mark.parametrize("block", ["b", "late"])
def test_scorer_law_behind_the_first_thousand(long: AnnData, model: Any, block: str) -> None:
    check_scorer_law(
        wrap(model), long, groupby="block", target=block, games=2, moves=5, values=(*INSIDE, *HUGE, 9.3, -0.1, -50.0)
    )


def test_a_data_set_that_celltypist_refuses(celltypist: Any, cells: AnnData, model: Any) -> None:
    scaled = cells.copy()
    scaled.X = scaled.X.toarray() - 1
    with pytest.raises(ValueError, match="Invalid expression matrix"):
        annotated(celltypist, scaled, model)
    for ask in (
        lambda: wrap(model).predict(scaled),
        lambda: wrap(model).scorer(Cluster(scaled, "cell_type", TARGET)),
    ):
        with pytest.raises(errors.InputRejected, match=r"values from -1 to .*raw.to_adata\(\)"):
            ask()
    scaled.layers["log"] = cells.X
    wrap(model).scorer(Cluster(scaled, "cell_type", TARGET, layer="log"))
    np.testing.assert_array_equal(wrap(model).predict(scaled, layer="log"), wrap(model).predict(cells))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_values_answer_as_a_full_prediction(cells: AnnData, model: Any, data: st.DataObject) -> None:
    classifier, cluster = wrap(model), Cluster(cells, "cell_type", "CD56+ NK")
    genes = np.array(data.draw(st.lists(st.integers(0, 191), min_size=1, max_size=4, unique=True)))
    drawn = st.floats(-0.5, 10, width=32)
    values = np.array([data.draw(st.lists(drawn, min_size=len(genes), max_size=len(genes)))])
    answer = classifier.scorer(cluster).together(genes, values)
    changed = with_values(cells, cluster.rows, genes, values)
    try:
        truth = classifier.predict_cluster(changed, cluster.rows, "CD56+ NK", cluster.labels, None)
    except errors.InputRejected:
        assert answer.rejected
        return
    assert (answer.label, answer.share, answer.rejected) == (truth.label, truth.share, False)
    np.testing.assert_array_equal(answer.labels, truth.labels)


def test_the_model_is_left_alone_and_annotate_never_called(
    celltypist: Any, cells: AnnData, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four threads on full and on partial gene sets, which breaks a model under annotate, agree with one."""
    before = pickle.dumps((model.classifier, model.scaler))
    truth = [
        annotated(celltypist, part, model).predicted_labels["predicted_labels"].astype(str).to_numpy()
        for part in (cells, cells[:, :70])
    ]

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("annotate was called")

    monkeypatch.setattr(celltypist, "annotate", never)
    monkeypatch.setattr(celltypist.classifier.Classifier, "__init__", never)
    monkeypatch.setattr(celltypist.models.Model, "predict_labels_and_prob", never)
    classifier, parts = wrap(model), (cells, cells[:, :70].copy())
    wrong: list[int] = []

    def work(start: int) -> None:
        for i in range(10):
            which = (start + i) % 2
            if not np.array_equal(classifier.predict(parts[which]), truth[which]):
                wrong.append(which)
            classifier.scorer(Cluster(parts[which], "cell_type", TARGET))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pickle.dumps((model.classifier, model.scaler)) == before


def test_the_copy_is_private(celltypist: Any, cells: AnnData) -> None:
    model = train(celltypist, cells)
    classifier = wrap(model)
    before = classifier.scores(cells)
    model.classifier.coef_ *= -1
    model.classifier.intercept_ += 1
    model.scaler.mean_ += 1
    model.scaler.scale_ *= 2
    pd.testing.assert_frame_equal(classifier.scores(cells), before)


def test_storage_is_plain_arrays(cells: AnnData, model: Any, two: Any, tmp_path: Path) -> None:
    for number, each in enumerate((model, two)):
        classifier = CellTypist(each, report="decision")
        classifier.save(tmp_path / f"{number}.npz")
        meta, arrays = _store.load(tmp_path / f"{number}.npz", "classifier")
        assert meta["family"] == "celltypist"
        again = CellTypist.from_state(meta, arrays)
        assert repr(again) == repr(classifier)
        pd.testing.assert_frame_equal(again.scores(cells), classifier.scores(cells))
        pd.testing.assert_series_equal(again.predict(cells), classifier.predict(cells))


def test_model_files_need_trust(
    celltypist: Any, cells: AnnData, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pkl"
    model.write(str(path))
    with pytest.raises(errors.StorageError, match=r"runs any code .* trust=True"):
        load_celltypist(path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "celltypist"]:
        monkeypatch.setitem(sys.modules, name, None)  # the package need not be installed
    loaded = load_celltypist(path, trust=True, report="decision")
    pd.testing.assert_frame_equal(loaded.scores(cells), CellTypist(model, report="decision").scores(cells))
    with pytest.raises(errors.StorageError, match="There is no file"):
        load_celltypist(tmp_path / "absent.pkl", trust=True)
    for content in (b"nonsense", pickle.dumps({"a": 1}), pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(errors.StorageError, match="cannot be read as a CellTypist model"):
            load_celltypist(path, trust=True)
    path.write_bytes(b"ccelltypist_that_is_not\nModel\n.")
    with pytest.raises(errors.MissingDependencyError, match="needs the package 'celltypist_that_is_not'"):
        load_celltypist(path, trust=True)


def test_an_untrusted_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(errors.StorageError, match="pickle"):
        load_celltypist(tmp_path / "trap.pkl")
    assert not (tmp_path / "sprung").exists()


def test_wrong_arguments_are_refused(celltypist: Any, cells: AnnData, model: Any) -> None:
    with pytest.raises(errors.ParameterError, match="report must be"):
        CellTypist(model, report="logit")  # type: ignore[arg-type]
    with pytest.raises(errors.ParameterError, match=r"CellTypist, .* takes no classes=: leave out classes="):
        wrap(model, classes=["a"])
    broken = train(celltypist, cells)
    broken.classifier.coef_ = broken.classifier.coef_[:, :5]
    with pytest.raises(errors.ClassifierError, match="does not fit together: 192 genes"):
        CellTypist(broken)
    broken = train(celltypist, cells)
    broken.classifier.features = np.repeat("CD3D", cells.n_vars)
    with pytest.raises(errors.ClassifierError, match="more than once: 'CD3D'"):
        CellTypist(broken)


def test_sparse_arrays_and_backed_files(cells: AnnData, model: Any, tmp_path: Path) -> None:
    truth = wrap(model).predict(cells)
    array = cells.copy()
    array.X = sp.csr_array(cells.X)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    for adata in (array, backed):
        np.testing.assert_array_equal(wrap(model).predict(adata), truth)
        scorer = wrap(model).scorer(Cluster(adata, "cell_type", TARGET))
        assert scorer.baseline.label == wrap(model).scorer(Cluster(cells, "cell_type", TARGET)).baseline.label
    assert len(wrap(model).predict(cells[:0].copy())) == 0
