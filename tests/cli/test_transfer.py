"""``adverscarial transfer``."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import adverscarial as adv

GENES = {"B": ["CD79A", "CD79B", "MS4A1"], "T": ["CD3D"]}


@pytest.fixture
def finished(pbmc_small, cells_file, tmp_path):
    """Return what the command is given, and the same objects: one of the classifiers was not attacked."""
    models = {
        "both": adv.classifiers.Markers(GENES),
        "one": adv.classifiers.Markers({name: genes[-1:] for name, genes in GENES.items()}),
    }
    attack, cells = adv.attacks.SingleGene("perc99"), adv.datasets.embedded()
    survey = adv.survey(
        cells, {"both": models["both"]}, attacks=attack, groupby="cell_type", targets=["CD19+ B", "CD56+ NK"],
        out=tmp_path / "run",
    )  # fmt: skip
    for name, model in models.items():
        model.save(tmp_path / f"{name}.npz")
    return cells, survey, {"both": models["both"], "one.npz": models["one"]}


@pytest.mark.slow
def test_the_table_is_that_of_python(run, finished, cells_file, tmp_path) -> None:
    cells, survey, models = finished
    ask = ["transfer", tmp_path / "run", "--data", cells_file, "--classifier", tmp_path / "both.npz", "--classifier",
           tmp_path / "one.npz"]  # fmt: skip
    code, out, err = run(*ask, "--json", "--out", tmp_path / "t.csv")
    assert code == 0, err
    expected = adv.transfer(cells, survey, models, progress=False)
    assert expected["n"].to_list()[0] > 0
    assert json.loads(out) == [{"attacked": "both", **expected.loc["both"].to_dict()}]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "t.csv", index_col="attacked"), expected, check_dtype=False, check_exact=False
    )
    code, out, _ = run(*ask, "--counts")
    assert code == 0
    assert "one.npz rejected" in out
    code, out, _ = run(*ask)
    assert f"{expected.at['both', 'one.npz']:.0%}" in out


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("random-forest", "must be trained first"),
        ("sctype --values impossible", "writes impossible values"),
        ("sctype --out table.txt", "written as .csv"),
    ],
)
def test_what_cannot_be_tried_is_said(run, finished, cells_file, tmp_path, more, said) -> None:
    name, *options = more.split()
    code, _, err = run("transfer", tmp_path / "run", "--data", cells_file, "--classifier", name, *options)
    assert code == 2
    assert said in err.replace("\n", " ")
    code, _, err = run("transfer", tmp_path / "none", "--data", cells_file, "--classifier", name)
    assert code == 2
    assert "There is no folder" in err
