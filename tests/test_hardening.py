"""Adversarial cells, and training with them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial import hardening
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.classifiers import MLP, Classifier, Markers, ScAnnotatR
from adverscarial.errors import ClassifierError, DataError, ParameterError
from adverscarial.hardening import adversarial_cells, harden, projected_gradient

ATTACK = SingleGene("perc99")


@pytest.fixture(scope="module")
def halves(pbmc_small: AnnData) -> tuple[AnnData, AnnData]:
    return adv.datasets.split(pbmc_small, "cell_type", seed=0)


@pytest.fixture(scope="module")
def markers(halves) -> Classifier:
    return Markers(n_markers=5).fit(halves[0], "cell_type")


@pytest.fixture(scope="module")
def fooled(halves, markers) -> AnnData:
    return adversarial_cells(halves[1], markers, ATTACK, groupby="cell_type")


def originals(fooled: AnnData, source: AnnData) -> AnnData:
    return source[[name.split("|")[0] for name in fooled.obs_names]]


def matrix(X) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


# adversarial_cells


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
        found = adversarial_cells(counts, lambda X: np.where(X[:, 0] >= X[:, 1], "a", "b"), ATTACK, groupby="type")
        assert found.n_obs
        changed = matrix(found.X) != matrix(originals(found, counts).X)
        new = np.quantile(matrix(counts.X), 0.99, axis=0)[[list("gh").index(g) for g in found.obs["adverscarial_gene"]]]
        assert (new != np.rint(new)).any()
        np.testing.assert_allclose(matrix(found.X)[changed], new, rtol=1e-12)


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


# harden


@pytest.fixture(scope="module")
def hardened(halves) -> hardening.Hardening:
    return harden(ScAnnotatR(), halves[0], ATTACK, groupby="cell_type", test=halves[1], rounds=2)


def balanced(said: pd.Series, truth: pd.Series) -> float:
    names = truth.astype(str).to_numpy()
    return float(pd.Series(said.astype(str).to_numpy() == names).groupby(names).mean().mean())


def names_of(cells: AnnData) -> list[str]:
    return sorted(set(cells.obs["cell_type"].astype(str)))


@pytest.mark.parametrize("row", [0, -1])
def test_table_is_what_full_attacks_on_held_out_cells_say(halves, hardened, row):
    test, model = halves[1], hardened.classifier if row else hardened.before
    measured = hardened.table.iloc[row]
    attacked, flipped, genes = [], 0, 0
    for target in names_of(test):
        result = ATTACK(test, model, groupby="cell_type", target=target)
        assert result.verify(test, model)
        changed = result.apply(test) if result.genes else test
        inside = (test.obs["cell_type"] == target).to_numpy()
        attacked.append(float((model.predict(changed)[inside] == target).mean()))
        flipped += bool(result.genes)
        genes += len(result.genes)
    assert measured["clean_accuracy"] == pytest.approx(balanced(model.predict(test), test.obs["cell_type"]))
    assert measured["attacked_accuracy"] == pytest.approx(np.mean(attacked))
    assert (measured["flipped"], measured["flipping_genes"]) == (flipped, genes)
    assert measured["success"] == pytest.approx(flipped / len(names_of(test)))
    assert measured["clusters"] == len(names_of(test))


def test_without_folds_rounds_are_repeatable_step_by_step(halves):
    """Round by round with the public pieces alone."""
    train, test = halves
    hardened = harden(ScAnnotatR(), train, ATTACK, groupby="cell_type", test=test, rounds=2, folds=1)
    training, model, added = train, ScAnnotatR().fit(train, "cell_type"), 0
    for number in range(1, len(hardened.table)):
        fooled = adversarial_cells(train, model, ATTACK, groupby="cell_type", seed=number)
        fooled.obs_names = [f"{name}|{number}" for name in fooled.obs_names]
        training = anndata.concat([training, fooled], merge="same")
        model = ScAnnotatR().fit(training, "cell_type")
        added += fooled.n_obs
        assert hardened.table["adversarial_cells"].iloc[number] == added
    pd.testing.assert_series_equal(model.predict(test), hardened.classifier.predict(test))
    pd.testing.assert_series_equal(ScAnnotatR().fit(train, "cell_type").predict(test), hardened.before.predict(test))


def test_given_classifier_is_not_changed_and_what_it_learned_is_not_used(halves):
    """A model that has seen the held-out cells must not make round 0 look better than it is."""
    train, test = halves
    given = Markers(n_markers=5).fit(test, "cell_type")
    before = given.markers
    done = harden(given, train, ATTACK, groupby="cell_type", test=test, rounds=1)
    assert given.markers == before
    assert done.before.markers == Markers(n_markers=5).fit(train, "cell_type").markers != before


class Noting(Markers):
    """Remembers which cells it was trained on, and which copies of them."""

    def fit(self, adata, groupby, *, layer=None, **options):
        self.names, self.options = list(adata.obs_names), options
        return super().fit(adata, groupby, layer=layer)

    @property
    def cells(self) -> set[str]:
        return {name.split("|")[0] for name in self.names}


@pytest.fixture
def attacked(monkeypatch) -> list[tuple[AnnData, Noting, AnnData]]:
    """What harden() attacks from now on: the cells, the model, and those that it fell for."""
    calls = []

    def noted(cells, model, *given, **options):
        fooled = adversarial_cells(cells, model, *given, **options)
        calls.append((cells, model, fooled))
        return fooled

    monkeypatch.setattr(hardening.training, "adversarial_cells", noted)
    return calls


def test_held_out_cells_are_never_trained_on(pbmc_small, attacked):
    train, test = adv.datasets.split(pbmc_small, "cell_type", seed=3)
    inside = harden(Noting(n_markers=5), pbmc_small, ATTACK, groupby="cell_type", rounds=1, seed=3)
    models = [model for _, model, _ in attacked] + [inside.before, inside.classifier]
    assert set.union(*(model.cells for model in models)) == set(train.obs_names)
    given = harden(Noting(n_markers=5), train, ATTACK, groupby="cell_type", test=test, rounds=1, seed=3)
    pd.testing.assert_frame_equal(inside.table, given.table)


@pytest.mark.parametrize("folds", [2, 3])
def test_no_cell_is_attacked_under_a_model_that_knows_it(halves, attacked, folds):
    """Neither the cell itself nor an adversarial copy of it from an earlier round."""
    train, test = halves
    done = harden(Noting(n_markers=5), train, ATTACK, groupby="cell_type", test=test, rounds=2, folds=folds)
    assert len(attacked) == 2 * folds
    copies = 0
    for cells, model, _ in attacked:
        assert set(cells.obs_names) | model.cells == set(train.obs_names)
        assert not set(cells.obs_names) & model.cells
        copies += any("|round 1" in name for name in model.names)
    assert copies == folds  # the second round knows the examples of the other folds
    for number in (0, 1):
        parts = [cells for cells, _, _ in attacked[number * folds :][:folds]]
        assert sorted(name for part in parts for name in part.obs_names) == sorted(train.obs_names)
        counts = pd.concat([part.obs["cell_type"].value_counts() for part in parts], axis=1)
        assert ((counts.max(axis=1) - counts.min(axis=1)) <= 1).all()
    found = [name for _, _, fooled in attacked for name in fooled.obs_names]
    assert sorted(done.classifier.names) == sorted([*train.obs_names, *found])
    assert done.table["adversarial_cells"].iloc[-1] == len(found) > 0


def test_folds_share_the_limit_per_type(halves, attacked):
    harden(Noting(n_markers=5), *halves[:1], ATTACK, groupby="cell_type", test=halves[1], rounds=1, n_per_type=4)
    assert len(attacked) == 4  # and no fifth fold
    counts = sum(fooled.obs["cell_type"].astype(str).value_counts() for _, _, fooled in attacked)
    assert max(fooled.obs["cell_type"].value_counts().max() for _, _, fooled in attacked) == 1
    assert counts.max() <= 4


def test_cells_without_a_type_are_attacked_in_no_fold(halves, attacked):
    train = halves[0].copy()
    train.obs["cell_type"] = train.obs["cell_type"].where(np.arange(train.n_obs) % 7 > 0)
    harden(Noting(n_markers=5), train, ATTACK, groupby="cell_type", test=halves[1], rounds=1, folds=2)
    known = set(train.obs_names[train.obs["cell_type"].notna()])
    assert {name for cells, _, _ in attacked for name in cells.obs_names} == known


def test_fit_options_reach_every_training(halves, attacked):
    options = {"anything": "X"}
    done = harden(
        Noting(n_markers=5), halves[0], ATTACK, groupby="cell_type", test=halves[1], rounds=1, folds=2,
        fit_options=options,
    )  # fmt: skip
    for model in (done.before, done.classifier, *(model for _, model, _ in attacked)):
        assert model.options == options


def test_scannotatr_may_rank_its_markers_on_another_layer(halves):
    train, test = (half.copy() for half in halves)
    for half in (train, test):
        half.layers["lognorm"] = half.X.copy()
        half.X = matrix(half.X)[:, ::-1].copy()  # other markers
    settings = {"groupby": "cell_type", "test": test, "rounds": 1, "layer": "lognorm", "folds": 2}
    own = harden(ScAnnotatR(), train, ATTACK, **settings)
    other = harden(ScAnnotatR(), train, ATTACK, **settings, fit_options={"markers_layer": "X"})
    alone = ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X")
    assert list(other.before.genes) == list(alone.genes) != list(own.before.genes)
    pd.testing.assert_series_equal(other.before.predict(test, layer="lognorm"), alone.predict(test, layer="lognorm"))


def test_attack_that_finds_nothing_changes_nothing_and_says_so(halves):
    attack = SingleGene("decile+0")
    done = harden(Markers(n_markers=5), halves[0], attack, groupby="cell_type", test=halves[1])
    assert list(done.table["round"]) == [0]
    assert done.classifier is done.before
    assert done.table["success"].item() == 0
    assert done.table["attacked_accuracy"].item() == done.table["clean_accuracy"].item()
    assert np.isnan(done.table["genes_needed"].item())
    assert "round 1 fooled no training cell" in str(done)


def test_layer_is_what_is_trained_on_and_attacked(halves):
    train, test = (half.copy() for half in halves)
    plain = harden(Markers(n_markers=5), train, ATTACK, groupby="cell_type", test=test, rounds=1)
    for half in (train, test):
        half.layers["values"] = sp.csr_matrix(matrix(half.X))
        half.X = np.zeros(half.shape, dtype=np.float32)
    layered = harden(Markers(n_markers=5), train, ATTACK, groupby="cell_type", test=test, rounds=1, layer="values")
    pd.testing.assert_frame_equal(plain.table, layered.table, rtol=1e-6)


def test_max_change_is_measured_by_its_signature(halves):
    attack = MaxChange("perc1", restarts=1)
    done = harden(Markers(n_markers=5), halves[0], attack, groupby="cell_type", test=halves[1], rounds=1)
    first = [len(attack(halves[1], done.before, groupby="cell_type", target=t).signature) for t in names_of(halves[1])]
    assert done.table["genes_needed"].iloc[0] == np.median(first)
    assert done.table["flipped"].tolist() == [0, 0]
    assert done.table["flipping_genes"].isna().all()
    assert "genes needed" in str(done)
    assert "flipping genes" not in str(done)


def test_summary_shows_both_sides(hardened):
    first, last = hardened.table.iloc[0], hardened.table.iloc[-1]
    text = str(hardened)
    assert "SingleGene(Percentile(99)) on ScAnnotatR, hardened by examples, 2 round(s)" in text
    assert f"clusters flipped    {first['flipped']:.0f} -> {last['flipped']:.0f} of 10" in text
    assert f"accuracy, clean     {first['clean_accuracy']:.3f} -> {last['clean_accuracy']:.3f}" in text
    assert f"accuracy, attacked  {first['attacked_accuracy']:.3f} -> {last['attacked_accuracy']:.3f}" in text


@pytest.mark.parametrize(
    ("classifier", "changed", "error", "words"),
    [
        (adv.classifiers.ScType(), {}, ClassifierError, "ScType cannot be trained here"),
        (lambda X: ["B"] * len(X), {}, ClassifierError, "cannot be trained here"),
        (Markers(), {"method": "pgd"}, ParameterError, "only MLP does; got Markers"),
        (Markers(), {"method": "fgsm"}, ParameterError, "method must be 'examples' or 'pgd', got 'fgsm'"),
        (Markers(), {"rounds": 0}, ParameterError, "rounds must be"),
        (MLP(), {"method": "pgd", "epsilon": 0.0}, ParameterError, "epsilon must be above 0"),
        (MLP(), {"method": "pgd", "epsilon": np.nan}, ParameterError, "epsilon must be above 0"),
        (MLP(), {"method": "pgd", "steps": 0}, ParameterError, "steps must be"),
        (MLP(), {"method": "pgd", "share": 1.5}, ParameterError, "share above 0 and at most 1"),
        (Markers(), {"attack": SingleGene}, ParameterError, "attack must be an attack"),
        (Markers(), {"n_per_type": 0}, ParameterError, "n_per_type"),
        (Markers(), {"folds": 0}, ParameterError, "folds must be a whole number of at least 1, got 0"),
        (Markers(), {"fit_options": {"layer": "counts"}}, ParameterError, "fit_options names a layer"),
    ],
)
def test_what_cannot_be_hardened_is_said_before_any_work(halves, classifier, changed, error, words, monkeypatch):
    monkeypatch.setattr(hardening.training, "split", lambda *_, **__: pytest.fail("worked before it checked"))
    arguments = {"attack": ATTACK, "groupby": "cell_type", **changed}
    with pytest.raises(error, match=words):
        harden(classifier, halves[0], **arguments)


def test_library_logs_each_round_and_prints_nothing(halves, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="adverscarial.hardening"):
        harden(Markers(n_markers=5), halves[0], ATTACK, groupby="cell_type", test=halves[1], rounds=1)
    assert [r.getMessage() for r in caplog.records] == [f"hardening Markers: round {i}" for i in (0, 1)]
    assert capsys.readouterr() == ("", "")


# pgd


@pytest.fixture(scope="module")
def scaled(pbmc_small) -> tuple[AnnData, AnnData]:
    pytest.importorskip("torch")
    cells = adv.datasets.preprocess(pbmc_small, target_sum=None)
    return adv.datasets.split(cells, "cell_type", seed=0)


def worst_case_accuracy(model: MLP, cells: AnnData, epsilon: float, steps: int = 10) -> float:
    """Balanced accuracy under PGD on the logit margin, written here from the network's weights alone."""
    X = np.asarray(cells.X, dtype=np.float64)
    truth = cells.obs["cell_type"].astype(str)
    own = np.array([model.classes.index(name) for name in truth])
    rows, moved = np.arange(len(X)), X.copy()
    for _ in range(steps):
        kept, values = [], moved
        for W, b in model.layers[:-1]:
            values = np.maximum(values @ W + b, 0)
            kept.append(values > 0)
        W, b = model.layers[-1]
        logits = values @ W + b
        logits[rows, own] = -np.inf
        back = W[:, logits.argmax(axis=1)].T - W[:, own].T
        for (W, _), alive in zip(model.layers[-2::-1], kept[::-1], strict=True):
            back = (back * alive) @ W.T
        moved = np.clip(moved + 2.5 * epsilon / steps * np.sign(back), X - epsilon, X + epsilon)
    return balanced(model.predict(AnnData(moved, obs=cells.obs, var=cells.var)), truth)


def test_pgd_training_makes_the_worst_case_better_and_keeps_clean_accuracy(scaled):
    train, test = scaled
    settings = {"groupby": "cell_type", "test": test, "method": "pgd", "epsilon": 0.3, "rounds": 1}
    attack = SingleGene("perc99")
    done = harden(MLP(seed=0, device="cpu"), train, attack, **settings)
    assert done.method == "pgd"
    assert done.table["epsilon"].tolist()[1] == 0.3
    before, after = (worst_case_accuracy(model, test, 0.3) for model in (done.before, done.classifier))
    assert after > before + 0.1
    assert done.table["clean_accuracy"].iloc[1] > done.table["clean_accuracy"].iloc[0] - 0.05
    for target in names_of(test)[:3]:
        assert attack(test, done.classifier, groupby="cell_type", target=target).verify(test, done.classifier)
    again = harden(MLP(seed=0, device="cpu"), train, attack, **settings)
    for one, other in zip(done.classifier.layers, again.classifier.layers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    pd.testing.assert_frame_equal(done.table, again.table)


class FakeTrainer:
    """Its loss is ``slope * value``, added up."""

    def __init__(self, slope: np.ndarray) -> None:
        self.slope, self.asked = slope, []

    def gradient(self, X, codes):
        self.asked.append((len(X), codes.tolist()))
        return np.broadcast_to(self.slope, X.shape)


@pytest.mark.parametrize(("share", "moved"), [(1.0, 5), (0.5, 3), (0.2, 1)])
def test_projected_gradient_goes_to_the_worst_corner_of_the_box(share, moved):
    X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    trainer, codes = FakeTrainer(np.array([2.0, -0.5, 0.0], dtype=np.float32)), np.arange(5)
    out = projected_gradient(0.25, 4, share=share, seed=1)(trainer, X, codes)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:moved, 0], X[:moved, 0] + 0.25, rtol=1e-6)
    np.testing.assert_allclose(out[:moved, 1], X[:moved, 1] - 0.25, rtol=1e-6)
    assert (np.abs(out - X) <= 0.25 + 1e-6).all()
    assert (out[:moved, 2] != X[:moved, 2]).any()  # the random start, which no gradient moved
    np.testing.assert_array_equal(out[moved:], X[moved:])
    assert trainer.asked == [(moved, list(range(moved)))] * 4


def test_pgd_rounds_widen_the_box(scaled, monkeypatch):
    widths = []

    def noted(epsilon, steps, **settings):
        widths.append((epsilon, steps, settings))
        return lambda trainer, X, codes: X

    monkeypatch.setattr(hardening.training, "projected_gradient", noted)
    done = harden(
        MLP(epochs=1, seed=0), scaled[0], SingleGene("perc99"), groupby="cell_type", test=scaled[1], method="pgd",
        epsilon=0.4, rounds=2, steps=3, share=0.5, seed=7,
    )  # fmt: skip
    assert widths == [(0.2, 3, {"share": 0.5, "seed": 7}), (0.4, 3, {"share": 0.5, "seed": 7})]
    # a hook that changes nothing trains the same network as no hook
    np.testing.assert_array_equal(done.classifier.layers[0][0], done.before.layers[0][0])


def test_trainer_gradient_is_the_slope_of_the_loss():
    torch = pytest.importorskip("torch")
    from adverscarial.classifiers.mlp import Trainer

    random = np.random.default_rng(0)
    shapes = [(6, 5), (5,), (5, 4), (4,), (4, 3), (3,)]
    trainer = Trainer([random.normal(size=s).astype(np.float32) for s in shapes], 1e-3, 0.5, torch.Generator())
    trainer.tensors = [w.detach().double().requires_grad_() for w in trainer.tensors]
    X, codes = random.normal(size=(7, 6)), random.integers(3, size=7)
    gradient = trainer.gradient(X, codes)
    for i, j in [(0, 0), (3, 2), (6, 5)]:
        step = np.zeros_like(X)
        step[i, j] = 1e-6
        slope = (trainer.losses(X + step, codes)[0] - trainer.losses(X - step, codes)[0]).item() / 2e-6
        assert gradient[i, j] == pytest.approx(slope, rel=1e-5, abs=1e-9)
    assert all(w.grad is None for w in trainer.tensors)


def test_on_pbmc3k_examples_help_against_genes_switched_on(shared):
    """scAnnotatR, all 13,714 genes of nine held-out clusters; of one split, docs/hardening.md tells of others."""
    cells = adv.datasets.pbmc3k()
    cells = adv.datasets.preprocess(cells[cells.obs["cell_type"] != "UNDETERMINED"].copy())
    train, test = adv.datasets.split(cells, "cell_type", seed=0)
    done = harden(ScAnnotatR(), train, ATTACK, groupby="cell_type", test=test)
    first, last = done.table.iloc[0], done.table.iloc[-1]
    assert last["flipping_genes"] < first["flipping_genes"]
    assert last["attacked_accuracy"] > first["attacked_accuracy"] + 0.1
    assert last["clean_accuracy"] > first["clean_accuracy"] - 0.02
    for target in names_of(test):
        result = ATTACK(test, done.classifier, groupby="cell_type", target=target)
        assert result.verify(test, done.classifier)


def test_page_runs_and_what_it_claims_holds(capsys):
    pytest.importorskip("torch")
    page = (Path(__file__).parents[1] / "docs" / "hardening.md").read_text()
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(code, names)
    attacked = names["done"].table["attacked_accuracy"]
    assert attacked.iloc[-1] > attacked.iloc[0] + 0.1
    assert names["more"].n_obs > names["train"].n_obs
    shown = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)[0].splitlines()
    assert capsys.readouterr().out.splitlines()[0] == shown[0]
