"""Notes about what runs without complaint and is most likely not what was meant; and when there are none."""

from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv


def said(err):
    return " ".join(err.split())


@pytest.fixture(scope="module")
def files(pbmc_small, tmp_path_factory):
    """Cells as they are, with whole numbers in a file and a layer, and two classifiers of the cells as they are."""
    folder = tmp_path_factory.mktemp("hints")
    cells = pbmc_small.copy()
    cells.layers["whole"] = np.rint(cells.to_df().to_numpy() * 20)
    cells.write_h5ad(folder / "cells.h5ad")
    cells.X = cells.layers["whole"]
    cells.write_h5ad(folder / "whole.h5ad")
    adv.classifiers.RandomForest(20, seed=0).fit(pbmc_small, "cell_type").save(folder / "forest.npz")
    adv.classifiers.Markers().fit(pbmc_small, "cell_type").save(folder / "markers.npz")
    return folder


COMMANDS = {
    "classify": [],
    "attack": ["--groupby", "cell_type", "--target", "Dendritic", "--gene", "CD3D"],
    "survey": ["--groupby", "cell_type", "--target", "Dendritic", "--gene", "CD3D"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_counts_for_a_ready_made_classifier(run, files, tmp_path, command):
    more = [*COMMANDS[command], *(["--out", tmp_path / "run"] if command == "survey" else [])]
    forest = ["--classifier", files / "forest.npz"]
    largest = int(adv.datasets.load(files / "whole.h5ad").X.max())
    _, _, err = run(command, files / "whole.h5ad", *forest, *more)
    assert f"X holds whole numbers up to {largest}, so these look like counts, and --preprocess is none." in said(err)
    assert "add --preprocess lognorm" in said(err)


def test_no_note_where_there_is_nothing_to_note(run, files):
    for data, classifier, more in (
        ("cells.h5ad", "forest.npz", []),
        ("whole.h5ad", "forest.npz", ["--preprocess", "lognorm"]),
        ("whole.h5ad", "markers.npz", []),
    ):
        code, _, err = run("classify", files / data, "--classifier", files / classifier, *more)
        assert code == 0
        assert "look like counts" not in said(err)


def test_counts_in_a_layer(run, files):
    _, _, err = run("classify", files / "cells.h5ad", "--classifier", files / "forest.npz", "--layer", "whole")
    assert "Layer 'whole' holds whole numbers up to" in said(err)
    assert "leave out --layer" in said(err)


def survey(run, data, classifier, out, *more):
    return run("survey", data, "--groupby", "cell_type", "--classifier", classifier, "--gene", "CD3D", "--out", out,
               "--modification", "perc1", *more)  # fmt: skip


def test_clusters_called_something_else(run, files, pbmc_small, tmp_path):
    cells = pbmc_small.copy()
    names = {"CD8+ Cytotoxic T": "CD19+ B", "CD19+ B": "cd8+_cytotoxic t"}
    assert set(names) < set(cells.obs["cell_type"])
    cells.obs["cell_type"] = [names.get(name, name) for name in cells.obs["cell_type"]]
    cells.write_h5ad(tmp_path / "swapped.h5ad")
    code, _, err = survey(run, tmp_path / "swapped.h5ad", files / "forest.npz", tmp_path / "run")
    assert code == 0
    assert (
        "2 of 10 clusters are called something else than their names before any attack (CD19+ B: CD8+ Cytotoxic T, "
        "cd8+_cytotoxic t: CD19+ B). If the names should agree, check --preprocess and the genes."
    ) in said(err)


@pytest.mark.parametrize("classifier", ["forest.npz", "sctype"])
def test_right_names_and_another_vocabulary_give_no_note(run, files, tmp_path, classifier):
    model = files / classifier if classifier.endswith("npz") else classifier
    code, out, err = survey(run, files / "cells.h5ad", model, tmp_path / "run")
    assert code == 0
    assert "called" in out
    assert "something else" not in said(err)
