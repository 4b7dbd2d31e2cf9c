from __future__ import annotations

import json

import pandas as pd
import pytest

import adverscarial as adv


@pytest.mark.slow
def test_survey_behind_a_guard(run, cells_file, pbmc_small, tmp_path):
    out = tmp_path / "run"
    code, _, err = run(
        "survey", cells_file, "--groupby", "cell_type", "--classifier", "markers", "--modification",
        "positive_aberrant", "--guard", "refuse", "--out", out,
    )  # fmt: skip
    assert code == 0, err
    table = pd.read_csv(out / "table.csv")
    assert (table["flipped"] == 0).all()
    assert (table["rejected"] > 0).all()
    guard = adv.classifiers.load(out / "markers.npz")
    train, test = adv.datasets.split(pbmc_small, "cell_type", seed=0)
    expected = adv.classifiers.Guard(adv.classifiers.Markers(), "refuse").fit(train, "cell_type")
    assert isinstance(guard, adv.classifiers.Guard)
    assert guard.predict(test).equals(expected.predict(test))


@pytest.mark.slow
def test_another_guard_does_not_continue_a_folder(run, cells_file, tmp_path):
    out = tmp_path / "run"
    arguments = ["survey", cells_file, "--groupby", "cell_type", "--classifier", "markers", "--target", "Dendritic"]
    assert run(*arguments, "--guard", "clip", "--out", out)[0] == 0
    code, _, err = run(*arguments, "--guard", "unsure", "--out", out)
    assert code not in (0, 1)
    assert "markers" in err


def test_attack_with_a_ready_made_classifier_needs_training_cells(run, cells_file):
    arguments = ["attack", cells_file, "--groupby", "cell_type", "--target", "Dendritic", "--classifier", "sctype"]
    arguments += ["--modification", "positive_aberrant", "--guard", "refuse", "--json"]
    code, _, err = run(*arguments)
    assert code not in (0, 1)
    assert "name their file with --train" in err
    code, printed, err = run(*arguments, "--train", cells_file)
    assert code == 0, err
    found = json.loads(printed)
    assert found["flipped"] == 0
    assert found["rejected"] > 0
