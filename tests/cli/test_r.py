"""Classifiers in R on the command line."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest

SCRIPT = (
    "classify <- function(X) ifelse(X[, 'CD79A'] > X[, 'CD3D'], 'B', 'T')\nother <- function(X) rep('B', nrow(X))\n"
)
OF_CLUSTERS = "classify <- function(e, clusters, target) list('B', mean(e[clusters == target, 'CD79A'] > 0))\n"
WITH_MODEL = "classify <- function(model, X) ifelse(X[, model] > 1, 'B', 'T')\n"


@pytest.fixture
def script(rscript, tmp_path):
    path = tmp_path / "model.R"
    path.write_text(SCRIPT)
    return path


@pytest.mark.slow
def test_a_script_is_asked(run, cells_file, script, pbmc_small, tmp_path):
    code, _, err = run("classify", cells_file, "--classifier", script, "--out", tmp_path / "labels.csv")
    assert code == 0, err
    X = pbmc_small.to_df()
    expected = np.where(X["CD79A"] > X["CD3D"], "B", "T").tolist()
    assert pd.read_csv(tmp_path / "labels.csv")["label"].tolist() == expected
    code, out, _ = run("classify", cells_file, "--classifier", f"r:{script}:other", "--json")
    assert json.loads(out)["labels"] == {"B": 700}


@pytest.mark.slow
def test_a_script_is_attacked(run, cells_file, script):
    attack = ("attack", cells_file, "--groupby", "cell_type", "--target", "CD19+ B", "--json", "--classifier")
    code, out, err = run(*attack, script, "--r-timeout", "600")
    assert code == 0, err
    assert json.loads(out)["genes"] == ["CD3D"]
    script.write_text(OF_CLUSTERS)
    code, out, err = run(*attack, script)
    assert code == 0, err
    assert json.loads(out)["genes"] == []
    code, _, err = run("classify", cells_file, "--classifier", script)
    assert (code, "labels whole clusters" in " ".join(err.split())) == (2, True)


@pytest.mark.slow
def test_a_survey_of_several_functions(run, cells_file, script, tmp_path):
    both = [str(part) for name in (script, f"{script}:other") for part in ("--classifier", name)]
    code, out, err = run(
        "survey", cells_file, "--groupby", "cell_type", *both, "--target", "CD19+ B", "--modification", "perc99",
        "--json", "--jobs", "2", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert {row["classifier"] for row in json.loads(out)["rows"]} == {"model.R", "model.R:other"}
    assert "each query is a call of R" in " ".join(err.split())
    report = (tmp_path / "run" / "report.html").read_text()
    assert hashlib.sha256(script.read_bytes()).hexdigest() in report
    assert "your own function in R" in report
    assert "function other" in report
    assert re.search(r"version \d\.\d", report)


@pytest.mark.slow
def test_a_stored_model_needs_trust(run, cells_file, script, tmp_path, run_r):
    run_r("saveRDS('CD79A', 'gene.rds')")
    script.write_text(WITH_MODEL)
    ask = ("classify", cells_file, "--classifier", script, "--r-rds", tmp_path / "gene.rds")
    code, _, err = run(*ask)
    assert (code, "run any code" in " ".join(err.split())) == (2, True)
    code, _, err = run(*ask, "--trust")
    assert code == 0, err
    code, _, err = run("classify", cells_file, "--classifier", tmp_path / "gene.rds")
    assert (code, "(command line: --trust)" in " ".join(err.split())) == (2, True)
    code, _, err = run("classify", cells_file, "--classifier", tmp_path / "gene.rds", "--trust")
    assert (code, "it holds a character. Say how it is asked" in " ".join(err.split())) == (2, True)


@pytest.mark.fast(4)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classifier", "modle.R"], "There is no file 'modle.R'"),
        (["--classifier", "sctype", "--r-form", "cells"], "are for classifiers in R; leave them out for 'sctype'"),
        (["--classifier", "model.R", "--rounds", "2"], "are for boosted models"),
        (["--classifier", "model.R", "--r-form", "nothing"], "form='nothing' is not known"),
        (["--classifier", "model.R:clasify"], "no function 'clasify'. Did you mean 'classify'"),
        (["--classifier", "some.rds", "--r-rds", "model.R"], "--r-rds is for a script"),
    ],
)
def test_what_makes_no_sense(run, cells_file, script, monkeypatch, arguments, message):
    monkeypatch.chdir(script.parent)
    script.with_name("some.rds").write_bytes(b"")
    code, _, err = run("classify", cells_file, *arguments)
    assert (code, message in " ".join(err.split())) == (2, True), err
