from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB

import adverscarial as adv


@pytest.fixture
def model_file(pbmc_small, tmp_path):
    adv.classifiers.Markers().fit(pbmc_small, "cell_type").save(tmp_path / "markers.npz")
    return tmp_path / "markers.npz"


def test_labels_and_best_scores_of_every_cell(run, cells_file, pbmc_small, model_file, tmp_path):
    out = tmp_path / "labels.csv"
    code, printed, _ = run("classify", cells_file, "--classifier", model_file, "--out", out, "--json")
    assert code == 0
    table = pd.read_csv(out)
    model = adv.classifiers.load(model_file)
    assert list(table.columns) == ["cell", "label", "score"]
    assert table["cell"].tolist() == pbmc_small.obs_names.tolist()
    assert table["label"].tolist() == model.predict(pbmc_small).tolist()
    np.testing.assert_allclose(table["score"], model.scores(pbmc_small).max(axis=1), rtol=1e-12)
    assert json.loads(printed)["labels"] == table["label"].value_counts().to_dict()
    code, printed, err = run("classify", cells_file, "--classifier", model_file, "--out", out)
    assert code == 0
    assert "Dendritic" in printed
    assert "labels.csv" in err.replace("\n", "")


def test_each_cluster_as_adv_predict_says(run, cells_file, pbmc_small):
    arguments = ["--classifier", "sctype", "--preprocess", "scale", "--groupby", "cell_type"]
    code, printed, _ = run("classify", cells_file, *arguments, "--json")
    assert code == 0
    clusters = json.loads(printed)["clusters"]
    assert len(clusters) == 10
    scaled = adv.datasets.preprocess(pbmc_small, target_sum=None)
    for row in clusters:
        said = adv.predict(scaled, adv.classifiers.ScType(), groupby="cell_type", target=row["cluster"])
        assert (row["label"], row["share"]) == (said.label, pytest.approx(said.share))
    code, printed, _ = run("classify", cells_file, *arguments)
    assert code == 0
    assert "label of each cluster" in printed


def test_own_marker_table_with_odd_names(run, cells_file, tmp_path):
    """Square brackets are markup to the printer of tables: they must come out as they are."""
    table = tmp_path / "markers.csv"
    table.write_text('cell_type,positive\nB [/red] cell,"CD79A,MS4A1"\nT,"CD3D,CD3E"\n')
    arguments = ["--classifier", f"sctype:{table}", "--preprocess", "scale", "--groupby", "cell_type"]
    code, printed, err = run("classify", cells_file, *arguments)
    assert code == 0, err
    assert "B [/red] cell" in printed


def test_a_classifier_without_scores(run, cells_file, pbmc_small, tmp_path):
    adv.classifiers.Chetah().fit(pbmc_small, "cell_type").save(tmp_path / "chetah.npz")
    out = tmp_path / "labels.csv"
    code, _, _ = run("classify", cells_file, "--classifier", tmp_path / "chetah.npz", "--out", out)
    assert code == 0
    assert list(pd.read_csv(out).columns) == ["cell", "label"]


def test_pickles_need_trust(run, cells_file, pbmc_small, tmp_path):
    model = GaussianNB().fit(pbmc_small.to_df(), pbmc_small.obs["cell_type"])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    code, out, err = run("classify", cells_file, "--classifier", path)
    assert (code, out) == (2, "")
    assert "reading a pickle runs any code" in err
    assert "--trust" in err
    code, out, _ = run("classify", cells_file, "--classifier", path, "--trust", "--json")
    assert code == 0
    names, counts = np.unique(model.predict(pbmc_small.to_df()), return_counts=True)
    assert json.loads(out)["labels"] == dict(zip(names.tolist(), counts.tolist(), strict=True))


class Trap:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return (Path.touch, (self.flag,))


@pytest.mark.parametrize("command", ["classify", "attack", "survey"])
@pytest.mark.parametrize("name", ["model.pkl", "model.npz", "model.skops"])
def test_nothing_of_a_malicious_file_runs(run, cells_file, tmp_path, command, name):
    flag = tmp_path / "it ran"
    (tmp_path / name).write_bytes(pickle.dumps(Trap(flag)))
    more = {"classify": [], "attack": ["--groupby", "cell_type", "--target", "Dendritic"]}
    more["survey"] = ["--groupby", "cell_type", "--out", tmp_path / "run"]
    code, out, err = run(command, cells_file, "--classifier", tmp_path / name, *more[command])
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert not flag.exists()
    assert not (tmp_path / "run").exists()


def test_genes_that_the_data_do_not_have(run, pbmc_small, tmp_path):
    """A forest of all genes is asked about cells with fewer."""
    import adverscarial as adv

    model = adv.classifiers.RandomForest(n_estimators=5, seed=0).fit(pbmc_small, "cell_type")
    model.save(tmp_path / "forest.npz")
    fewer = pbmc_small[:, 50:].copy()
    fewer.write_h5ad(tmp_path / "fewer.h5ad")
    asked = ["classify", tmp_path / "fewer.h5ad", "--classifier", tmp_path / "forest.npz", "--json"]
    code, _, err = run(*asked)
    assert code == 2
    assert "715 of them are in the data" in " ".join(err.split())
    code, printed, err = run(*asked, "--missing-genes", "zero")
    assert code == 0, err
    assert "715 of 765 genes are in the data" in " ".join(err.split())
    expected = pbmc_small.copy()
    expected.X = expected.X.toarray()
    expected.X[:, :50] = 0
    assert json.loads(printed)["labels"] == model.predict(expected).value_counts().to_dict()
