"""The commands of docs/one-command.md, as they stand there, on real cells with counts."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "one-command.md"
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL) for line in block.splitlines()
]


@pytest.fixture(scope="module")
def counts(pbmc_small):
    """Real cells with counts again: a cell's smallest value above zero is one count."""
    normalised = np.expm1(pbmc_small.to_df().to_numpy(dtype=np.float64))
    ratio = normalised / np.where(normalised > 0, normalised, np.inf).min(axis=1, keepdims=True)
    assert np.abs(ratio - np.rint(ratio)).max() < 0.2
    cells = pbmc_small.copy()
    cells.X = np.rint(ratio).astype(np.float32)
    return cells


@pytest.fixture
def folder(counts, tmp_path, monkeypatch):
    counts.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELLTYPIST_FOLDER", str(tmp_path / "celltypist"))
    return tmp_path


def command(monkeypatch, line):
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    main_code = 0
    try:
        main()
    except SystemExit as end:
        main_code = end.code or 0
    return main_code


def test_the_page_shows_these_commands():
    assert [shlex.split(line)[1] for line in COMMANDS] == ["survey", "report", "survey", "survey", "train", "classify"]


@pytest.mark.slow
def test_one_command_attacks_a_scikit_learn_model(counts, folder, monkeypatch):
    io = pytest.importorskip("skops.io")
    lognorm = adv.datasets.preprocess(counts, scale=False)
    model = LogisticRegression(C=0.1, max_iter=500).fit(lognorm.to_df(), lognorm.obs["cell_type"])
    io.dump(model, folder / "model.skops")
    assert command(monkeypatch, COMMANDS[0]) == 0
    assert "<html" in (folder / "run" / "report.html").read_text()
    table = pd.read_csv(folder / "run" / "table.csv")
    assert len(table) == 10 * 5
    assert set(table["classifier"]) == {"model.skops"}
    row = table[(table["cluster"] == "Dendritic") & (table["modification"] == "positive_aberrant")].iloc[0]
    attack = adv.attacks.SingleGene("positive_aberrant")
    expected = attack(lognorm, model, groupby="cell_type", target="Dendritic")
    assert row["flipped"] == len(expected.genes) > 0
    assert command(monkeypatch, COMMANDS[1]) == 0
    text = (folder / "run" / "report.html").read_text()
    assert "Two scatter plots of all cells" in text
    assert "Scatter plot of attacks, visibility" in text


@pytest.mark.slow
def test_one_command_attacks_a_celltypist_model(counts, folder, monkeypatch, capsys):
    celltypist = pytest.importorskip("celltypist")
    lognorm = adv.datasets.preprocess(counts, scale=False)
    model = celltypist.train(
        lognorm, "cell_type", use_SGD=True, check_expression=False, max_iter=20, random_state=0, tol=None
    )
    model.write(str(folder / "Immune_All_Low.pkl"))
    assert command(monkeypatch, COMMANDS[2].replace("--trust ", "")) == 2
    assert "reading a pickle runs any code" in capsys.readouterr().err
    assert not (folder / "run-celltypist").exists()
    assert command(monkeypatch, COMMANDS[2]) == 0
    table = pd.read_csv(folder / "run-celltypist" / "table.csv")
    assert len(table) == 10 * 5
    assert (table["baseline"] == table["cluster"]).mean() > 0.7
    assert (table.loc[table["modification"] == "positive_aberrant", "rejected"] == counts.n_vars).all()
    # counts as they are: CellTypist refuses every query, and that is not success
    assert command(monkeypatch, COMMANDS[2].replace("--preprocess lognorm ", "").replace("run-", "raw-")) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "50 of 50 attacks failed. The first:" in said
    assert "CellTypist refuses this matrix: its first 1,000 cells hold values from 0 to 259" in said


@pytest.mark.slow
def test_one_command_attacks_an_xgboost_model(counts, folder, monkeypatch):
    xgboost = pytest.importorskip("xgboost")
    lognorm = adv.datasets.preprocess(counts, scale=False)
    labels = lognorm.obs["cell_type"].astype("category")
    X = lognorm.to_df().to_numpy()  # a bare array: the model knows no genes
    xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(X, labels.cat.codes).save_model("model.json")
    (folder / "types.txt").write_text("\n".join(labels.cat.categories))
    (folder / "genes.txt").write_text("\n".join(lognorm.var_names))
    assert command(monkeypatch, COMMANDS[3]) == 0
    table = pd.read_csv(folder / "run-xgboost" / "table.csv")
    assert len(table) == 10 * 5
    assert (table["baseline"] == table["cluster"]).mean() > 0.7


@pytest.mark.slow
def test_train_and_classify(counts, folder, monkeypatch):
    assert command(monkeypatch, COMMANDS[4]) == 0
    assert command(monkeypatch, COMMANDS[5]) == 0
    labels = pd.read_csv(folder / "labels.csv", index_col="cell")["label"]
    assert (labels == counts.obs["cell_type"].astype(str)).mean() > 0.8
