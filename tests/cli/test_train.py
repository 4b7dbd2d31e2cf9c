from __future__ import annotations

import json

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.classifiers import Choice
from adverscarial.cli.models import trainable


@pytest.fixture
def few(pbmc_small, tmp_path):
    """200 genes of real cells, for the slow classifiers."""
    pbmc_small[:, :200].copy().write_h5ad(tmp_path / "few.h5ad")
    return tmp_path / "few.h5ad"


@pytest.mark.slow
def test_trains_on_one_half_and_judges_on_the_other(run, cells_file, pbmc_small, tmp_path):
    out = tmp_path / "forest.npz"
    arguments = ["train", cells_file, "--groupby", "cell_type", "--classifier", "markers", "--out", out]
    code, printed, _ = run(*arguments, "--json")
    assert code == 0
    answer = json.loads(printed)
    train, test = adv.datasets.split(pbmc_small, "cell_type", seed=0)
    model = adv.classifiers.Markers().fit(train, "cell_type")
    expected = (model.predict(test) == test.obs["cell_type"].astype(str)).mean()
    assert answer["accuracy"] == pytest.approx(expected)
    assert (answer["trained_on"], answer["held_out"]) == (train.n_obs, True)
    assert sum(row["cells"] for row in answer["types"]) == test.n_obs
    assert adv.classifiers.load(out).predict(test).equals(model.predict(test))
    code, printed, err = run(*arguments)
    assert code == 0
    assert "held-out half" in printed
    assert "Dendritic" in printed
    assert "Training markers on 353 cells" in err


def test_train_may_use_all_cells_and_says_so(run, cells_file, pbmc_small, tmp_path):
    out = tmp_path / "markers.npz"
    code, printed, _ = run(
        "train", cells_file, "--groupby", "cell_type", "--classifier", "markers", "--all", "--out", out
    )
    assert code == 0
    assert "its own training cells" in printed
    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    assert adv.classifiers.load(out).predict(pbmc_small).equals(model.predict(pbmc_small))


@pytest.mark.fast("linear", "markers")
@pytest.mark.parametrize("kind", trainable())
def test_every_classifier_is_trained_saved_read_and_attacked(run, few, tmp_path, kind):
    for package, needed_by in (("torch", "mlp"), ("singler", "singler")):
        if kind == needed_by:
            pytest.importorskip(package)
    out = tmp_path / "model.npz"
    code, printed, err = run("train", few, "--groupby", "cell_type", "--classifier", kind, "--out", out, "--json")
    assert code == 0, err
    assert json.loads(printed)["accuracy"] > 0.25  # ten types
    arguments = ["attack", few, "--groupby", "cell_type", "--target", "Dendritic", "--json", "--budget", "20"]
    code, printed, err = run(*arguments, "--classifier", out)
    assert code == 0, err
    assert json.loads(printed)["classifier"] == adv.classifiers.load(out).name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["chetah", "scannotatr"])
def test_attack_trains_it_on_the_way(run, few, pbmc_small, kind):
    arguments = ["attack", few, "--groupby", "cell_type", "--target", "Dendritic", "--json"]
    code, printed, err = run(*arguments, "--classifier", kind)
    assert code == 0, err
    assert f"Training {kind} on 353 cells" in err
    train, test = adv.datasets.split(pbmc_small[:, :200].copy(), "cell_type", seed=0)
    model = trainable()[kind].from_command_line(Choice()).fit(train, "cell_type")
    expected = adv.attacks.SingleGene("perc99")(test, model, groupby="cell_type", target="Dendritic")
    assert json.loads(printed)["genes"] == expected.genes


@pytest.mark.slow
def test_what_may_surprise_is_noted(run, few, tmp_path):
    arguments = ["train", few, "--groupby", "cell_type", "--out", tmp_path / "model.npz"]
    _, _, err = run(*arguments, "--classifier", "chetah", "--preprocess", "scale")
    assert "CHETAH is meant for raw counts" in err
    _, _, err = run(*arguments, "--classifier", "chetah")
    assert "Note:" not in err
    _, _, err = run(*arguments, "--classifier", "scannotatr")
    assert "never gives it: 'CD4+/CD25 T Reg'" in err.replace("\n", " ")


@pytest.mark.slow
def test_the_same_seed_saves_the_same_classifier(run, few, tmp_path):
    for name in ("a", "b"):
        arguments = ["--classifier", "scannotatr", "--seed", "3", "--out", tmp_path / f"{name}.npz"]
        assert run("train", few, "--groupby", "cell_type", *arguments)[0] == 0
    a, b = (np.load(tmp_path / f"{name}.npz") for name in ("a", "b"))
    assert all(np.array_equal(a[key], b[key]) for key in a.files)


@pytest.mark.slow
def test_a_trained_family_gets_what_stands_behind_a_colon(run, few, tmp_path, monkeypatch):
    from adverscarial.classifiers import CommandLine, Linear
    from adverscarial.classifiers.registry import FAMILIES

    monkeypatch.setattr(FAMILIES, "_things", FAMILIES.all())  # what is added here goes away with it

    class Weak(Linear, family="weak_of_a_test", command_line=CommandLine("weak", "Linear of a strength.")):
        @classmethod
        def from_command_line(cls, choice):
            return cls(float(choice.argument or 10))

    out, asked = tmp_path / "run", ["--groupby", "cell_type", "--target", "Dendritic"]
    code, _, err = run("survey", few, *asked, "--classifier", "weak:0.5", "--modification", "perc1", "--out", out)
    assert code == 0, err
    assert "Training weak on" in err
    assert adv.classifiers.load(out / "weak-0.5.npz").strength == 0.5
    code, _, err = run("train", few, "--groupby", "cell_type", "--classifier", "weak:2", "--out", out / "model.npz")
    assert code == 0, err
    assert adv.classifiers.load(out / "model.npz").strength == 2
    for command in ("survey", "train"):
        code, _, err = run(command, few, "--groupby", "cell_type", "--classifier", "chetah:2", "--out", out / "x.npz")
        assert code == 2
        assert "chetah takes nothing behind a colon" in err
