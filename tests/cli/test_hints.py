"""Notes about what runs without complaint and is most likely not what was meant; and when there are none."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

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


@pytest.mark.fast(1)
@pytest.mark.parametrize("command", COMMANDS)
def test_counts_for_a_ready_made_classifier(run, files, tmp_path, command):
    more = [*COMMANDS[command], *(["--out", tmp_path / "run"] if command == "survey" else [])]
    forest = ["--classifier", files / "forest.npz"]
    largest = int(adv.datasets.load(files / "whole.h5ad").X.max())
    _, _, err = run(command, files / "whole.h5ad", *forest, *more)
    assert f"X holds whole numbers up to {largest}, so these look like counts, and --preprocess is none." in said(err)
    assert "add --preprocess lognorm" in said(err)


@pytest.mark.slow
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
    assert "add --preprocess lognorm" in said(err)
    more = ["--layer", "whole", "--preprocess", "lognorm"]
    code, _, err = run("classify", files / "cells.h5ad", "--classifier", files / "forest.npz", *more)
    assert code == 0
    assert "look like counts" not in said(err)


def survey(run, data, classifier, out, *more):
    return run("survey", data, "--groupby", "cell_type", "--classifier", classifier, "--gene", "CD3D", "--out", out,
               "--modification", "perc1", *more)  # fmt: skip


@pytest.mark.slow
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


@pytest.mark.fast(1)
@pytest.mark.parametrize("classifier", ["forest.npz", "sctype"])
def test_right_names_and_another_vocabulary_give_no_note(run, files, tmp_path, classifier):
    model = files / classifier if classifier.endswith("npz") else classifier
    code, out, err = survey(run, files / "cells.h5ad", model, tmp_path / "run")
    assert code == 0
    assert "called" in out
    assert "something else" not in said(err)


@pytest.mark.slow
def test_genes_of_another_kind_are_one_message(run, files, pbmc_small, tmp_path):
    cells = pbmc_small.copy()
    cells.var_names = [f"ENSG{i:011d}" for i in range(cells.n_vars)]
    cells.write_h5ad(tmp_path / "ids.h5ad")
    code, out, err = survey(run, tmp_path / "ids.h5ad", files / "forest.npz", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err.count("needs 765 genes, 0 of them are in the data") == 1
    assert "command line: adverscarial convert IN OUT --symbols auto" in err
    assert not (tmp_path / "run").exists()


def test_a_value_that_is_no_number_is_named_without_talk_of_preprocessing(run, pbmc_small, tmp_path):
    cells = pbmc_small.copy()
    cells.X = cells.X.toarray()
    cells.X[5, 7] = np.nan
    cells.write_h5ad(tmp_path / "nan.h5ad")
    code, _, err = run("classify", tmp_path / "nan.h5ad", "--classifier", "sctype", "--preprocess", "lognorm")
    assert code == 2
    assert f"the first in cell '{cells.obs_names[5]}', gene '{cells.var_names[7]}'" in err
    assert "--preprocess" not in err


def test_preprocessing_what_is_no_counts_says_what_to_type(run, files):
    code, _, err = run("classify", files / "cells.h5ad", "--classifier", "sctype", "--preprocess", "counts")
    assert code == 2
    assert "looks log-normalised already" in err
    assert "(command line: --preprocess scale to z-score it, none to leave it as it is)" in err


@pytest.mark.parametrize("content", ["unfitted", "a dict"])
def test_a_file_that_is_whole_but_holds_no_classifier(run, files, tmp_path, content):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"weights": 1} if content == "a dict" else LogisticRegression()))
    code, _, err = run("classify", files / "cells.h5ad", "--classifier", path, "--trust")
    assert code == 2
    assert "model.pkl' was read, but cannot be used: " in err
    assert ("cannot use a dict" if content == "a dict" else "fitted") in err
    assert "damaged" not in err


@pytest.mark.parametrize(("typed", "meant"), [("forrest.npz", "forest.npz"), ("marker.npz", "markers.npz")])
def test_a_misspelt_file_of_a_classifier(run, files, typed, meant):
    code, _, err = run("classify", files / "cells.h5ad", "--classifier", files / typed)
    assert code == 2
    assert f"Did you mean '{meant}'?" in err
    with pytest.raises(adv.errors.StorageError, match=rf"Did you mean '{meant}'\?"):
        adv.classifiers.load(files / typed)


@pytest.mark.slow
def test_columns_of_text_in_a_table_are_named(run, tmp_path):
    (tmp_path / "cells.csv").write_text("cell,type,MS4A1,CD3D\nc1,B,high,0\nc2,T,low,3\n")
    code, _, err = run("convert", tmp_path / "cells.csv", tmp_path / "cells.h5ad")
    assert code == 0
    assert (
        "cells.csv: read as descriptions of cells, not as genes, since they hold no numbers: 'type' ('B', ...), "
        "'MS4A1' ('high', ...)."
    ) in said(err)
    _, _, err = run("classify", tmp_path / "cells.h5ad", "--classifier", "sctype")
    assert "descriptions" not in said(err)


def test_reporting_on_no_folder(run, tmp_path):
    code, _, err = run("report", tmp_path / "nodir")
    assert code == 2
    assert f"There is no folder '{tmp_path / 'nodir'}'." in err
