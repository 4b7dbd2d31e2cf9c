"""The neural net: training, settings and storage."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

import needs
from adverscarial import _store
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.families.mlp import MLP
from adverscarial.datasets import preprocess, split
from adverscarial.errors import ClassifierError, DataError, ParameterError
from classifiers.families.test_mlp import NAMES, _data, _network

# --- training ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blood(pbmc_small: AnnData) -> AnnData:
    adata = pbmc_small[:, ::4].copy()
    X = adata.X.toarray()
    adata.X = np.minimum((X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-6), 10).astype(np.float32)
    adata.obs = pd.DataFrame({"cell_type": adata.obs["cell_type"].astype(str)}, index=adata.obs_names)
    return adata


@pytest.mark.slow
@needs.torch
def test_training_repeats_itself_and_leaves_global_seeds_alone(blood: AnnData) -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, second, other = (MLP(epochs=2, seed=seed, device="cpu").fit(blood, "cell_type") for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    for (W, b), (same_W, same_b), (other_W, _) in zip(first.layers, second.layers, other.layers, strict=True):
        np.testing.assert_array_equal(W, same_W)
        np.testing.assert_array_equal(b, same_b)
        assert (other_W != W).any()
    pd.testing.assert_frame_equal(first.history, second.history)


@pytest.mark.slow
@needs.torch
def test_training_learns_and_keeps_its_history(blood: AnnData) -> None:
    model = MLP(epochs=15, seed=0, device="cpu").fit(blood, "cell_type")
    assert list(model.history.columns) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert list(model.history.index) == list(range(1, 16))
    assert model.history["loss"].iloc[-1] < model.history["loss"].iloc[0] / 2
    assert model.classes == tuple(sorted(set(blood.obs["cell_type"])))
    assert list(model.genes) == list(blood.var_names)
    accuracy = model.summary(blood, "cell_type")["accuracy"]
    assert accuracy.mean() > 0.75


@needs.torch
def test_initial_weights_are_glorot_uniform(blood: AnnData) -> None:
    model = MLP((16,), epochs=1, learning_rate=1e-12, seed=0, device="cpu").fit(blood, "cell_type")
    for W, b in model.layers:
        limit = np.sqrt(6 / sum(W.shape))
        assert np.abs(W).max() <= limit * (1 + 1e-6)
        assert np.abs(W).max() > 0.9 * limit
        assert W.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)
        assert np.abs(b).max() < 1e-9


@pytest.mark.slow
@needs.torch
def test_faithful_training_never_sees_the_last_class(blood: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    names = ["CD19+ B", "CD56+ NK", "CD14+ Monocyte", "Dendritic"]  # order of first appearance decides
    adata = blood[blood.obs["cell_type"].isin(names)].copy()
    adata = adata[np.argsort([names.index(name) for name in adata.obs["cell_type"]], kind="stable")].copy()
    faithful = MLP(epochs=10, faithful=True, seed=0, device="cpu").fit(adata, "cell_type")
    default = MLP(epochs=10, seed=0, device="cpu").fit(adata, "cell_type")
    assert faithful.classes == default.classes == tuple(sorted(names))
    last = adata[adata.obs["cell_type"] == "Dendritic"].copy()
    # 400 stacked rows, 80 held back: all but 20 of the last 100
    assert (default.predict(last) == "Dendritic").mean() > 0.6
    assert faithful.history["val_accuracy"].iloc[-1] < default.history["val_accuracy"].iloc[-1]
    unseen = MLP(epochs=10, faithful=True, validation=0.25, seed=0, device="cpu").fit(adata, "cell_type")
    assert (unseen.predict(last) == "Dendritic").mean() < 0.1
    assert "1 class(es) have no training row" in caplog.text


@pytest.mark.slow
@needs.torch
def test_all_cells_and_layers_can_be_trained_on(blood: AnnData) -> None:
    adata = AnnData(np.zeros(blood.shape, dtype=np.float32), obs=blood.obs, var=blood.var, layers={"scaled": blood.X})
    settings = {"epochs": 3, "balance": None, "validation": 0, "seed": 0, "device": "cpu"}
    layered = MLP(**settings).fit(adata, "cell_type", layer="scaled")
    plain = MLP(**settings).fit(blood, "cell_type")
    np.testing.assert_array_equal(layered.layers[0][0], plain.layers[0][0])
    assert list(plain.history.columns) == ["loss", "accuracy"]
    assert (layered.predict(adata, layer="scaled") == plain.predict(blood)).all()


@needs.torch
def test_cells_without_a_label_are_left_out(blood: AnnData) -> None:
    adata = blood.copy()
    adata.obs.loc[adata.obs["cell_type"] == "Dendritic", "cell_type"] = None
    assert "Dendritic" not in MLP(epochs=1, device="cpu").fit(adata, "cell_type").classes
    adata.obs["cell_type"] = "B"
    with pytest.raises(DataError, match="at least two"):
        MLP(epochs=1, device="cpu").fit(adata, "cell_type")


@needs.torch
@pytest.mark.slow
def test_it_is_as_good_on_pbmc3k_as_in_the_article(shared: Path) -> None:
    adata = read_h5ad(shared / "data/pbmc3k.h5ad")
    adata = preprocess(adata[adata.obs["cell_type"] != "UNDETERMINED"].copy())
    train, test = split(adata, "cell_type", seed=0)
    accuracy = MLP(seed=0, device="cpu").fit(train, "cell_type").summary(test, "cell_type").set_index("cell_type")
    assert accuracy["accuracy"].mean() > 0.8
    assert accuracy.loc["Platelet", "accuracy"] > 0.5
    faithful = MLP(epochs=10, seed=0, faithful=True, device="cpu").fit(train, "cell_type")
    platelets = faithful.predict(test[test.obs["cell_type"] == "Platelet"].copy())
    assert platelets.mode()[0] == "NK"  # the article's record


# --- settings, storage, import -----------------------------------------------------------------------------------


def test_repr_rebuilds_the_settings() -> None:
    assert repr(MLP()) == "MLP()"
    model = MLP((32,), dropout=0.1, faithful=True, balance=None, seed=7)
    again = eval(repr(model))
    assert repr(again) == repr(model) == "MLP(hidden=(32,), dropout=0.1, faithful=True, balance=None, seed=7)"


WRONG = {"dropout": 1, "epochs": 0, "batch_size": 0, "learning_rate": 0, "validation": 1, "balance": 0, "hidden": ()}


@pytest.mark.parametrize("name", WRONG)
def test_impossible_settings_are_refused(pbmc_small: AnnData, name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        MLP(**{name: WRONG[name]}).fit(pbmc_small, "cell_type")


def test_weights_that_do_not_fit_are_refused() -> None:
    model = _network(1, 4)
    arrays = dict(zip(NAMES, itertools.chain(*model.layers), strict=True))
    for wrong, message in (
        ({name: a for name, a in arrays.items() if name != "b2"}, "W2 and b2"),
        (arrays | {"W2": arrays["W2"][:-1]}, r"expected \(7, units\)"),
        ({"W1": arrays["W1"], "b1": arrays["b1"]}, "at least 2 layers"),
    ):
        with pytest.raises(ParameterError, match=message):
            MLP.from_weights(wrong, model.classes, model.genes)
    with pytest.raises(ParameterError, match="more than once"):
        MLP.from_weights(arrays, model.classes, ["g", "g", "h", "i"])


def test_an_untrained_network_says_so(tmp_path: Path) -> None:
    adata = _data(3, 5, 6)
    for call in (lambda: MLP().predict(adata), lambda: MLP().save(tmp_path / "x"), lambda: MLP().decide(adata.X)):
        with pytest.raises(ClassifierError, match="not trained"):
            call()
    with pytest.raises(ClassifierError, match="not trained"):
        MLP().scorer(Cluster(adata, "cluster", "A"))
    with pytest.raises(ClassifierError, match="expected 6 genes"):
        _network(1, 6).decide(np.zeros((2, 5)))


@pytest.mark.slow
@needs.torch
def test_stored_and_read_again(tmp_path: Path, blood: AnnData) -> None:
    model = MLP((16, 8), epochs=2, seed=5, float32_output=True, device="cpu").fit(blood, "cell_type")
    model.save(tmp_path / "model.npz")
    again = MLP.from_state(*_store.load(tmp_path / "model.npz", "classifier"))
    assert repr(again) == repr(model)
    assert (again.classes, list(again.genes)) == (model.classes, list(model.genes))
    pd.testing.assert_frame_equal(again.history, model.history)
    np.testing.assert_array_equal(again.scores(blood), model.scores(blood))
    ready = _network(1, 6)
    ready.save(tmp_path / "ready.npz")
    assert len(MLP.from_state(*_store.load(tmp_path / "ready.npz", "classifier")).history) == 0


@needs.torch
def test_diverging_training_is_an_error(blood: AnnData) -> None:
    with pytest.raises(ClassifierError, match="diverged in epoch"):
        MLP(epochs=3, learning_rate=1e30, seed=0, device="cpu").fit(blood, "cell_type")
