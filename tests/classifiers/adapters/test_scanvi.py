"""Scanvi: answers as ``SCANVI.predict(soft=True)`` does, whichever cells are asked about together."""

import logging
import pickle
import warnings
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.attacks import SingleGene
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.adapters.scanvi import Scanvi
from adverscarial.classifiers.check import check
from adverscarial.classifiers.prediction import predict
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import GeneMismatchError, InputRejected, ParameterError
from adverscarial.modifications import modify
from classifiers.scorer_law import check_scorer_law

if find_spec("scvi") is None:  # imported where it is used: it takes seconds, and no test here is in the fast lane
    pytest.skip("scvi-tools is not installed", allow_module_level=True)
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # a network is trained


@pytest.fixture(scope="module")
def counts(shared: Path) -> AnnData:
    """300 cells x 200 genes of counts, five cell types, some cells without a label, two batches."""
    whole = anndata.read_h5ad(shared / "data" / "pbmc_hao_small.h5ad")
    whole = whole[whole.obs["cell_type"].isin(["B cells", "Monocytes", "NK cells", "Platelet", "T cells CD4 conv"])]
    rng = np.random.default_rng(0)
    cells = np.sort(rng.choice(whole.n_obs, 300, replace=False))
    X = whole.X[cells].toarray()
    genes = np.sort(np.argsort(-X.var(axis=0), kind="stable")[:200])
    obs = pd.DataFrame({"cell_type": whole.obs["cell_type"].iloc[cells].astype(str)}, index=whole.obs_names[cells])
    obs["batch"] = np.where(np.arange(300) % 2, "second", "first")
    obs["seen"] = np.where(np.arange(300) % 10 == 0, "not told", obs["cell_type"])
    obs["donor"] = np.where(np.arange(300) % 3, "x", "y")
    return AnnData(
        sp.csr_matrix(X[:, genes].astype(np.float32)), obs=obs, var=pd.DataFrame(index=whole.var_names[genes])
    )


def _train(counts: AnnData, *, covariates: list[str] | None = None, train: bool = True, **settings: Any) -> Any:
    import scvi

    own = counts.copy()
    for name in ("lightning.pytorch", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        scvi.settings.seed = 0
        scvi.model.SCANVI.setup_anndata(
            own, "seen", "not told", batch_key="batch", categorical_covariate_keys=covariates
        )
        model = scvi.model.SCANVI(own, n_hidden=32, n_latent=5, **settings)
        if train:
            quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
            plan = {"lr": 1e-2, "classification_ratio": 500}
            model.train(5, batch_size=32, plan_kwargs=plan, accelerator="cpu", enable_checkpointing=False, **quiet)
    return model


@pytest.fixture(scope="module")
def model(counts: AnnData) -> Any:
    return _train(counts, encode_covariates=True)


def _predict(model: Any, counts: AnnData, batch: str) -> pd.DataFrame:
    """What scvi itself says, of a copy with every cell in one batch."""
    own = counts.copy()
    own.obs["batch"] = batch
    return model.predict(own, soft=True)


@pytest.mark.slow
def test_answers_as_the_model_itself_does(counts: AnnData, model: Any) -> None:
    for batch in ("first", "second"):
        classifier = Scanvi(model, batch=batch)
        expected = _predict(model, counts, batch)
        pd.testing.assert_frame_equal(classifier.scores(counts), expected.astype(np.float64), check_exact=True)
        assert classifier.predict(counts).tolist() == expected.idxmax(axis=1).tolist()
    assert not np.allclose(_predict(model, counts, "first"), _predict(model, counts, "second"))


@pytest.mark.slow
def test_learnt_something_and_names_its_classes_and_genes(counts: AnnData, model: Any) -> None:
    classifier = Scanvi(model, batch="first")
    assert classifier.classes == ("B cells", "Monocytes", "NK cells", "Platelet", "T cells CD4 conv")
    assert list(classifier.genes) == list(counts.var_names)
    assert (classifier.name, repr(classifier)) == ("SCANVI", "Scanvi(..., batch='first')")
    assert (classifier.predict(counts) == counts.obs["cell_type"]).mean() > 0.8  # guessing gets 0.25


def test_a_cell_gets_the_same_probabilities_in_any_company(counts: AnnData, model: Any) -> None:
    classifier, X = Scanvi(model, batch="first"), counts.X.toarray()
    whole = classifier.decide(X).scores
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(classifier.decide(X[order]).scores, whole[order])
    for n in (1, 2, 3, 127, 128, 129, 257):
        np.testing.assert_array_equal(classifier.decide(X[:n]).scores, whole[:n])
        np.testing.assert_array_equal(classifier.decide(X[-n:]).scores, whole[-n:])


def test_the_batch_makes_no_difference_to_models_that_do_not_encode_it(counts: AnnData) -> None:
    plain = _train(counts, covariates=["donor"], train=False)
    plain.is_trained_ = True  # random weights will do
    plain.module.eval()
    first, second = (Scanvi(plain, batch=batch).scores(counts) for batch in ("first", "second"))
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(first, plain.predict(soft=True).astype(np.float64), check_exact=True)


def test_a_model_stored_and_loaded_answers_the_same(counts: AnnData, model: Any, tmp_path: Path) -> None:
    import scvi

    model.save(tmp_path / "model", save_anndata=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = scvi.model.SCANVI.load(tmp_path / "model", accelerator="cpu")
    np.testing.assert_array_equal(
        Scanvi(again, batch="first").scores(counts), Scanvi(model, batch="first").scores(counts)
    )


def test_writes_into_neither_the_data_nor_the_model(counts: AnnData, model: Any) -> None:
    data, weights = counts.copy(), deepcopy(model.module.state_dict())
    registered = set(model.adata.uns), list(model.adata.obs), model.adata.X.copy()
    random_state = torch.get_rng_state()
    model.module.train()  # as a model is that someone is still training
    try:
        first = Scanvi(model, batch="first").scores(counts)
        assert model.module.training
    finally:
        model.module.eval()
    pd.testing.assert_frame_equal(first, Scanvi(model, batch="first").scores(counts))  # no dropout took part
    assert torch.equal(torch.get_rng_state(), random_state)
    assert (set(model.adata.uns), list(model.adata.obs)) == registered[:2]
    assert (registered[2] != model.adata.X).nnz == 0
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert (counts.X != data.X).nnz == 0
    assert list(counts.uns) == list(data.uns)
    pd.testing.assert_frame_equal(counts.obs, data.obs)


def test_later_training_does_not_reach_the_classifier(counts: AnnData, model: Any) -> None:
    classifier = Scanvi(model, batch="first")
    before = classifier.scores(counts)
    weight = model.module.classifier.classifier[-1].weight
    with torch.no_grad():
        weight.mul_(-1)
        try:
            pd.testing.assert_frame_equal(classifier.scores(counts), before)
            assert not np.allclose(Scanvi(model, batch="first").scores(counts), before)
        finally:
            weight.mul_(-1)


def test_survives_the_way_to_another_process(counts: AnnData, model: Any) -> None:
    classifier = pickle.loads(pickle.dumps(Scanvi(model, batch="first")))
    assert len(pickle.dumps(classifier)) < 500_000  # the model's data do not travel along
    pd.testing.assert_frame_equal(classifier.scores(counts), Scanvi(model, batch="first").scores(counts))


@pytest.mark.parametrize("value", [-1.0, -0.5, np.nan, np.inf, -np.inf, 1e39])
def test_refuses_what_cannot_be_a_count(counts: AnnData, model: Any, value: float) -> None:
    X = counts.X.toarray().astype(np.float64)
    X[3, 5] = value
    with pytest.raises(InputRejected, match=r"1 of 60,000 values"):
        Scanvi(model, batch="first").decide(X)


def test_answers_fractions_with_a_warning_as_scvi_does(counts: AnnData, model: Any) -> None:
    own = counts.copy()
    own.X.data[:] *= 1.5
    with pytest.warns(UserWarning, match="whole numbers"):
        scores = Scanvi(model, batch="first").scores(own)
    with pytest.warns(UserWarning, match="unnormalized count data"):
        expected = _predict(model, own, "first")
    np.testing.assert_array_equal(scores, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Scanvi(model, batch="first").scores(counts)
        assert Scanvi(model, batch="first").decide(np.empty((0, 200))).scores.shape == (0, 5)


def test_genes_are_found_by_name(counts: AnnData, model: Any) -> None:
    classifier = Scanvi(model, batch="first")
    shuffled = counts[:, ::-1].copy()
    pd.testing.assert_frame_equal(classifier.scores(shuffled), classifier.scores(counts))
    with pytest.raises(GeneMismatchError, match="199 of them are in the data"):
        classifier.predict(counts[:, 1:].copy())


def test_a_model_that_labels_by_the_batch_must_be_told_one(model: Any) -> None:
    with pytest.raises(ParameterError, match=r"its batch too .*'first', 'second'.*wrap\(model, batch='first'\)"):
        wrap(model)


def test_refused_settings_say_why(counts: AnnData, model: Any) -> None:
    with pytest.raises(ParameterError, match=r"no batch 'frist'\. Did you mean 'first'\? It knows 'first', 'second'"):
        Scanvi(model, batch="frist")
    with pytest.raises(ParameterError, match=r"needs a scvi\.model\.SCANVI, got a str"):
        Scanvi("model/")
    untrained = _train(counts, covariates=["donor"], encode_covariates=True, train=False)
    with pytest.raises(ParameterError, match="not trained yet"):
        Scanvi(untrained, batch="first")
    untrained.is_trained_ = True
    with pytest.raises(ParameterError, match="covariates 'donor'"):
        Scanvi(untrained, batch="first")


def test_wrap_knows_the_model(counts: AnnData, model: Any) -> None:
    assert isinstance(wrap(model, batch="first"), Scanvi)
    assert not Scanvi.recognises(object())
    with pytest.raises(ParameterError, match="takes no classes=: leave out classes="):
        wrap(model, classes=["a"], batch="first")


@pytest.mark.fast(1)
@pytest.mark.filterwarnings("ignore:SCANVI was given values that are not whole")
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_the_scorer_answers_as_full_prediction(counts: AnnData, model: Any, dtype: type) -> None:
    own = counts.copy()
    own.X = own.X.astype(dtype)  # as float64 the law asks for 1e-9, though the model has 32 bits
    check_scorer_law(
        Scanvi(model, batch="first"), own, groupby="cell_type", target="B cells", games=2,
        values=(0.0, 1.0, 3.0, 20.0, 1e9, -1.0),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SCANVI was given values that are not whole")
def test_passes_the_conformance_suite(counts: AnnData, model: Any) -> None:
    own = AnnData(np.zeros(counts.shape, dtype=np.float32), obs=counts.obs, var=counts.var, layers={"counts": counts.X})
    report = check(wrap(model, batch="first"), own, groupby="cell_type", layer="counts")
    assert report, report


@pytest.mark.slow
def test_an_attack_answers_and_counts_refusals(counts: AnnData, model: Any) -> None:
    ask = {"groupby": "cell_type", "target": "B cells"}
    first = wrap(model, batch="first")
    result = SingleGene("fixed:40", genes=list(counts.var_names[:20]))(counts, first, **ask)
    changed = modify(counts, counts.var_names[:1], "fixed:40", **ask)
    expected = predict(changed, first, **ask)
    row = result.to_frame().set_index("gene").loc[counts.var_names[0]]
    assert (row["label"], row["share"]) == (expected.label, expected.share)
    assert set(result.to_frame()["outcome"]) <= {"flipped", "held"}
    refused = SingleGene("fixed:-1", genes=list(counts.var_names[:3]))(counts, first, **ask)
    assert set(refused.to_frame()["outcome"]) == {"rejected"}
    scorer = Scanvi(model, batch="first").scorer(Cluster(counts, "cell_type", "B cells"))
    assert "negative" in scorer.together(np.array([0]), np.array([[-1.0]])).reason
