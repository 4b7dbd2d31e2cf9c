"""Which values are meant, and which genes may change, from the shell: they give what a file of these values gives."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv

WHERE = ["--groupby", "cell_type", "--target", "CD19+ B", "--modification", "fixed:9"]


@pytest.fixture
def files(tmp_path):
    """Three files: the cells; a MuData with them beside other values; other values with them as raw. And a model."""
    mudata = pytest.importorskip("mudata")
    cells = adv.datasets.embedded()
    cells.var["some"] = np.isin(cells.var_names, ["CD3D", "CD79A"])
    other = cells.copy()
    other.X = other.X[::-1].copy()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    mudata.MuData({"rna": other, "prot": cells}).write(tmp_path / "several.h5mu")
    other.raw = cells
    other.write_h5ad(tmp_path / "other.h5ad")
    adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D"]}).save(tmp_path / "model.npz")
    return tmp_path


def attack(run, files, name, *more):
    code, out, err = run("attack", files / name, *WHERE, "--classifier", files / "model.npz", "--json", *more)
    assert code == 0, err
    return json.loads(out)


def test_an_attack_on_a_modality_or_on_raw(run, files):
    expected = attack(run, files, "cells.h5ad")
    assert expected["genes"] == ["CD3D"]
    assert attack(run, files, "several.h5mu", "--mod", "prot") == expected
    assert attack(run, files, "other.h5ad", "--use-raw") == expected == attack(run, files, "other.h5ad", "--raw")
    assert attack(run, files, "several.h5mu")["baseline_share"] != expected["baseline_share"]


@pytest.mark.slow
def test_a_mask_of_genes(run, files):
    masked = attack(run, files, "cells.h5ad", "--mask-var", "some")
    assert (masked["tested"], masked["genes"]) == (2, ["CD3D"])
    code, _, err = run("attack", files / "cells.h5ad", *WHERE, "--classifier", files / "model.npz", "--mask-var", "sme")
    assert code == 2
    assert "Did you mean 'some'?" in err
    more = [*WHERE, "--classifier", files / "model.npz", "--mask-var", "some", "--out", files / "run"]
    assert run("survey", files / "cells.h5ad", *more)[0] == 0
    assert pd.read_csv(files / "run" / "table.csv")["tested"].tolist() == [2]


@pytest.mark.slow
def test_a_classifier_trained_elsewhere(run, files):
    more = ["--groupby", "cell_type", "--classifier", "markers"]
    assert run("train", files / "several.h5mu", *more, "--mod", "prot", "--out", files / "one.npz")[0] == 0
    assert run("train", files / "cells.h5ad", *more, "--out", files / "other.npz")[0] == 0
    one, other = (adv.classifiers.load(files / name) for name in ("one.npz", "other.npz"))
    assert one.markers == other.markers
    where = [*WHERE, "--classifier", "markers", "--train", files / "cells.h5ad", "--json"]  # holds no modalities
    code, out, err = run("attack", files / "several.h5mu", *where, "--mod", "prot")
    assert code == 0, err
    assert json.loads(out)["baseline"] == json.loads(run("attack", files / "cells.h5ad", *where)[1])["baseline"]
    code, _, err = run("attack", files / "cells.h5ad", *where, "--mod", "prot")
    assert code == 2
    assert "mod" in err
