"""The cells that an attack fools, as training examples."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import ClusterGradientDescent, MaxChange, SingleGene
from adverscarial.classifiers import Markers, ScAnnotatR
from adverscarial.errors import DataError, ParameterError
from adverscarial.hardening import adversarial_cells
from golden_files import GOLDEN, read_json

ATTACK = SingleGene("perc99")


@pytest.fixture(scope="module")
def fooled(halves, markers) -> AnnData:
    return adversarial_cells(halves[1], markers, ATTACK, groupby="cell_type")


def originals(fooled: AnnData, source: AnnData) -> AnnData:
    return source[[name.split("|")[0] for name in fooled.obs_names]]


def matrix(X) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def test_fooled_cells_keep_their_true_type_and_are_called_something_else(halves, markers, fooled):
    test, clean = halves[1], originals(fooled, halves[1])
    assert fooled.n_obs > 50
    assert fooled.obs_names.is_unique
    assert list(fooled.var_names) == list(test.var_names)
    assert set(test.obs) | {"adverscarial", "adverscarial_gene", "adverscarial_label"} == set(fooled.obs)
    assert (fooled.obs["cell_type"].to_numpy().astype(str) == clean.obs["cell_type"].to_numpy().astype(str)).all()
    assert set(fooled.obs["adverscarial"]) == {"SingleGene(Percentile(99))"}
    said = markers.predict(fooled).astype(str)
    assert (said == fooled.obs["adverscarial_label"]).all()
    assert (said != fooled.obs["cell_type"].astype(str)).all()
    assert (said.to_numpy() != markers.predict(clean).to_numpy()).all()


def test_each_copy_differs_in_its_one_flipping_gene(halves, markers, fooled):
    test = halves[1]
    quantile = pd.Series(np.quantile(matrix(test.X), 0.99, axis=0), index=test.var_names)
    differs = matrix(fooled.X) != matrix(originals(fooled, test).X)
    assert (differs.sum(axis=1) == 1).all()
    changed = test.var_names[differs.argmax(axis=1)]
    assert list(changed) == list(fooled.obs["adverscarial_gene"])
    np.testing.assert_allclose(matrix(fooled.X)[differs], quantile[changed].to_numpy(), rtol=1e-6)
    for target, part in fooled.obs.groupby("cell_type", observed=True):
        result = ATTACK(test, markers, groupby="cell_type", target=target)
        assert set(part["adverscarial_gene"]) <= set(result.genes)
        assert result.verify(test, markers, genes=sorted(set(part["adverscarial_gene"])))


def test_default_gives_at_most_as_many_as_the_type_has(halves, fooled):
    have = halves[1].obs["cell_type"].astype(str).value_counts()
    got = fooled.obs["cell_type"].astype(str).value_counts()
    assert (got <= have[got.index]).all()
    assert (got == have[got.index]).any()


def test_genes_share_the_cells_of_a_type(halves, markers):
    target = "CD4+/CD45RO+ Memory"
    several = adversarial_cells(halves[1], markers, ATTACK, groupby="cell_type", targets=[target], n_per_type=10_000)
    available = several.obs["adverscarial_gene"].value_counts()
    assert len(available) > 1
    assert available.min() > 1
    few = adversarial_cells(
        halves[1], markers, ATTACK, groupby="cell_type", targets=[target], n_per_type=2 * len(available)
    )
    assert dict(few.obs["adverscarial_gene"].value_counts()) == dict.fromkeys(available.index, 2)


def test_cell_that_was_wrong_and_becomes_right_is_no_example(halves, markers):
    """The marker rule calls the held-out B cells something else; three genes put that right."""
    target, test = "CD19+ B", halves[1]
    result = ATTACK(test, markers, groupby="cell_type", target=target)
    assert result.baseline != target
    assert set(result.to_frame().query("outcome == 'flipped'")["label"]) == {target}
    assert not adversarial_cells(test, markers, ATTACK, groupby="cell_type", targets=[target]).n_obs


def test_draw_follows_the_seed_and_no_other_cluster(halves, markers, fooled):
    settings = {"groupby": "cell_type", "n_per_type": 3}
    first, again, other = (adversarial_cells(halves[1], markers, ATTACK, **settings, seed=seed) for seed in (0, 0, 1))
    assert list(first.obs_names) == list(again.obs_names)
    np.testing.assert_array_equal(matrix(first.X), matrix(again.X))
    assert list(first.obs_names) != list(other.obs_names)
    assert first.obs["cell_type"].value_counts().max() == 3
    target = str(first.obs["cell_type"].iloc[-1])
    alone = adversarial_cells(halves[1], markers, ATTACK, **settings, targets=[target])
    assert list(alone.obs_names) == list(first.obs_names[first.obs["cell_type"] == target])


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_sparse_stays_sparse_and_says_the_same(halves, markers, fooled, form):
    sparse = halves[1].copy()
    sparse.X = form(matrix(sparse.X))
    found = adversarial_cells(sparse, markers, ATTACK, groupby="cell_type")
    assert sp.issparse(found.X)
    assert list(found.obs_names) == list(fooled.obs_names)
    np.testing.assert_array_equal(found.X.toarray(), matrix(fooled.X))


def test_layer_is_attacked_and_x_left_alone(halves, markers, fooled):
    cells = halves[1].copy()
    cells.layers["values"] = cells.X.copy()
    cells.layers["other"] = cells.X * 3
    cells.X = np.zeros(cells.shape, dtype=np.float32)
    found = adversarial_cells(cells, markers, ATTACK, groupby="cell_type", layer="values")
    assert not matrix(found.X).any()
    np.testing.assert_array_equal(matrix(found.layers["values"]), matrix(fooled.X))
    np.testing.assert_array_equal(matrix(found.layers["other"]), matrix(originals(found, halves[1]).X) * np.float32(3))


def test_backed_file_gives_the_same(halves, markers, fooled, tmp_path):
    cells = halves[1].copy()
    cells.X = sp.csr_matrix(matrix(cells.X))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    found = adversarial_cells(backed, markers, ATTACK, groupby="cell_type")
    assert list(found.obs_names) == list(fooled.obs_names)
    np.testing.assert_array_equal(matrix(found.X), matrix(fooled.X))
    backed.file.close()


def test_data_are_left_alone_and_examples_join_them(halves, markers, fooled, tmp_path):
    test = halves[1].copy()
    adversarial_cells(test, markers, ATTACK, groupby="cell_type", n_per_type=2)
    np.testing.assert_array_equal(matrix(test.X), matrix(halves[1].X))
    assert list(test.obs) == list(halves[1].obs)
    joined = anndata.concat([test, fooled], merge="same")
    assert joined.shape == (test.n_obs + fooled.n_obs, test.n_vars)
    Markers(n_markers=5).fit(joined, "cell_type")
    fooled.write_h5ad(tmp_path / "fooled.h5ad")
    assert anndata.read_h5ad(tmp_path / "fooled.h5ad").shape == fooled.shape


@pytest.mark.slow
def test_max_change_gives_the_outvoted_cells(halves, markers):
    test, attack = halves[1], MaxChange("perc1", restarts=1)
    found = adversarial_cells(test, markers, attack, groupby="cell_type")
    expected = []
    for target in sorted(set(test.obs["cell_type"].astype(str))):
        changed = attack(test, markers, groupby="cell_type", target=target).apply(test)
        inside = (test.obs["cell_type"] == target).to_numpy()
        before, after = (markers.predict(cells[inside]).to_numpy() for cells in (test, changed))
        moved = (before != after) & (after != target)
        expected += [f"{name}|MaxChange" for name in test.obs_names[inside][moved]]
    assert expected
    assert list(found.obs_names) == expected
    assert set(found.obs["adverscarial_gene"]) == {""}


def test_classifier_that_sees_all_cells_is_asked_about_all_of_them(halves):
    """scAnnotatR scales each gene over the whole data set: the copies alone would be judged otherwise."""
    train, test = halves
    model = ScAnnotatR().fit(train, "cell_type")
    found = adversarial_cells(test, model, ATTACK, groupby="cell_type", n_per_type=6)
    assert found.n_obs > 10
    for (target, gene), part in found.obs.groupby(["cell_type", "adverscarial_gene"], observed=True):
        changed = adv.modify(test, [gene], "perc99", groupby="cell_type", target=target)
        said = model.predict(changed)[[name.split("|")[0] for name in part.index]]
        assert list(said) == list(part["adverscarial_label"])


def test_classifier_without_labels_per_cell_gives_whole_clusters():
    X = np.zeros((8, 2))
    X[:4, 0] = X[4:, 1] = 1.0
    obs = pd.DataFrame({"type": ["a"] * 4 + ["b"] * 4}, index=[f"c{i}" for i in range(8)])
    cells = AnnData(X, obs=obs, var=pd.DataFrame(index=["g", "h"]))

    def rule(expression, clusters, target):
        means = expression.loc[(clusters == target).to_numpy()].mean()
        return ("a" if means["g"] > 0.5 else "b"), 1.0

    found = adversarial_cells(cells, rule, SingleGene("perc99"), groupby="type")
    assert list(found.obs_names) == [f"c{i}|g" for i in range(4, 8)]
    assert (found.X == 1).all()
    assert not adversarial_cells(cells, rule, MaxChange("perc99"), groupby="type").n_obs


def test_whole_numbers_that_become_fractions_are_kept(halves, markers):
    """A cluster of counts whose new value is no whole number."""
    counts = AnnData(
        np.array([[4, 0], [5, 0], [5, 1], [0, 4], [1, 7], [0, 5]], dtype=np.int32),
        obs=pd.DataFrame({"type": list("aaabbb")}, index=[f"c{i}" for i in range(6)]),
        var=pd.DataFrame(index=["g", "h"]),
    )
    for X in (counts.X, sp.csr_matrix(counts.X)):
        counts.X = X
        attack = SingleGene("fixed:5.5")
        found = adversarial_cells(counts, lambda X: np.where(X[:, 0] >= X[:, 1], "a", "b"), attack, groupby="type")
        assert found.n_obs
        changed = matrix(found.X) != matrix(originals(found, counts).X)
        np.testing.assert_array_equal(matrix(found.X)[changed], 5.5)


def test_nothing_fooled_is_an_empty_answer(halves, markers):
    found = adversarial_cells(halves[1], markers, SingleGene("decile+0"), groupby="cell_type")
    assert found.shape == (0, halves[1].n_vars)
    assert "adverscarial" in found.obs


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"n_per_type": 0}, ParameterError, "n_per_type must be a whole number of at least 1"),
        ({"seed": -1}, ParameterError, "seed"),
        ({"attack": "perc99"}, ParameterError, "attack must be an attack"),
        ({"targets": ["B cells"]}, DataError, "no cluster 'B cells'"),
        ({"targets": []}, ParameterError, "names no cluster"),
        ({"groupby": "celltype"}, DataError, "no column 'celltype'.*'cell_type'"),
    ],
)
def test_bad_input_is_refused_in_words(halves, markers, changed, error, words):
    arguments = {"attack": ATTACK, "groupby": "cell_type", **changed}
    with pytest.raises(error, match=words):
        adversarial_cells(halves[1], markers, **arguments)


# the R package's advTraining


@pytest.fixture(scope="module")
def sim() -> AnnData:
    return golden.cells(GOLDEN / "sim.csv")


def training_case() -> tuple[dict, pd.DataFrame]:
    case = read_json("i_training")["results"]["linear_sim a"]
    return case, pd.read_csv(GOLDEN / "i_training_linear_sim_a.csv", index_col=0, float_precision="round_trip")


def test_r_moves_every_cell_in_all_genes_but_the_first(sim):
    """`advTraining` gives back the whole matrix: each cell once, moved by equation (4) in its own directions."""
    case, changed = training_case()
    assert list(changed.index) == list(sim.obs_names)
    assert list(changed.columns) == case["columns_changed"] == case["genes"][1:]
    step = ClusterGradientDescent(case["coef"], case["add"])
    sign = {"+": 1, "-": -1, "0": 0}
    for gene in changed:
        directions = np.array([sign[mark] for mark in case["moves"][gene]])
        np.testing.assert_allclose(changed[gene], step.move(sim[:, gene].X.ravel(), directions), rtol=1e-12)
        assert set(directions) == {1, -1}


def test_ours_are_the_fooled_cells_alone_with_their_true_type(sim):
    """The same genes and step; the cells whose label the attack moves, under the labels of before."""
    case, _ = training_case()
    model = golden.linear(read_json("classifiers")["linear_sim"])
    step = ClusterGradientDescent(case["coef"], case["add"], genes=case["genes"], stop_at_switch=False)
    found = adversarial_cells(sim, model, step, groupby="cluster")
    assert 0 < found.n_obs < sim.n_obs
    clean = originals(found, sim)
    assert (found.obs["cluster"].to_numpy() == clean.obs["cluster"].to_numpy()).all()
    said = model.predict(found).to_numpy()
    assert (said != found.obs["cluster"].to_numpy()).all()
    assert (said != model.predict(clean).to_numpy()).all()
    moved = pd.DataFrame(found.X != clean.X, columns=sim.var_names)
    assert set(moved.columns[moved.any()]) <= set(case["genes"])
    for gene in moved.columns[moved.any()]:
        old, new = clean[:, gene].X.ravel(), found[:, gene].X.ravel()
        either = [step.move(old, direction) for direction in (1, 0, -1)]
        assert np.isclose(new, either, rtol=1e-12).any(axis=0).all()


@pytest.mark.parametrize("genes", [["g02", "g04", "g06"], ["g02"]])
def test_as_many_genes_as_there_are_is_no_failure(sim, genes):
    """R: "undefined columns selected" when more are asked for than given."""
    assert read_json("i_training")["results"]["more genes asked than given"]["error"] == "undefined columns selected"
    model = golden.linear(read_json("classifiers")["linear_sim"])
    step = ClusterGradientDescent(0.5, 0.5, genes=genes, max_genes=5)
    assert adversarial_cells(sim, model, step, groupby="cluster").n_vars == sim.n_vars
