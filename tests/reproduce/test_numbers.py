"""Published numbers find ours by what they are about."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.errors import DataError
from adverscarial.reproduce import Setting, read_numbers
from adverscarial.reproduce.numbers import KEYS, beside_published
from adverscarial.reproduce.protocol import Execution

TABLES = {
    "sctype": {
        "counts": pd.DataFrame({
            "cluster": ["B", "NK"], "modification": ["perc1", "perc1"], "single_genes": [3, 6], "signature": [2, 4],
        }),
        "single_genes": pd.DataFrame({
            "cluster": ["B", "B", "B"], "modification": "perc1", "gene": ["g", "h", "i"], "label": ["NK", "NK", "NK"],
            "status": ["published", "", "not found here"],
        }),
    },
    "fig2": {"attacks": pd.DataFrame({
        "classifier": "scRF", "cluster": ["B", "NK", "B"], "attack": ["SingleGene", "SingleGene", "MaxChange"],
        "modification": ["positive_aberrant", "perc1", "decile+5"], "flipped": [5, 7, None],
        "signature": [None, None, 9], "modifiable": [None, None, 91], "complete": True,
    })},
    "fig4": {"sweep": pd.DataFrame({
        "classifier": ["scRF"], "cluster": ["B"], "kind": ["both"], "alpha": [1.0], "epsilon": [1.0], "tested": [12],
        "modified": [4],
    })},
    "table1": {"attacks": pd.DataFrame({
        "classifier": ["scRF"], "cluster": ["B"], "cells": [30], "genes": [20], "seconds": [1.5],
        "attack": ["max-change decile+5, as published, groups from 1,000 genes"],
    })},
}  # fmt: skip
#: what was published -> what is found here
WANTED = {
    ("PBMC3k_undivided", "scType", "B", "single-gene", "perc1", "", "", "n_success_genes", "2"): 3,
    ("PBMC3k_undivided", "scType", "NK", "max-change", "perc1", "", "", "signature_length", "8"): 4,
    ("PBMC3k_undivided", "scType", "B", "single-gene", "perc1", "", "", "n_genes_to:NK", "2"): 2,
    ("PBMC3k_undivided", "scType", "NK", "single-gene", "perc1", "", "", "n_genes_to:B", "about 1"): 0,
    ("PBMC3k_undivided", "scType", "all 2 types", "single-gene", "perc1", "", "", "mean_n_success_genes", "5"): 4.5,
    ("PBMC3k_test", "scRF", "all 2 types", "single-gene", "all five", "", "", "n_success_genes_total", "> 6"): 12,
    ("PBMC3k_test", "scRF", "all 2 types", "single-gene", "aberrant +/-", "", "", "n_success_genes_total", "> 4"): 5,
    ("PBMC3k_test", "scRF", "B", "CGD", "", "1", "1", "n_tested_genes", "10"): 12,
    ("PBMC3k_test", "scRF", "B", "max-change", "decile+5", "", "", "signature_length", "10"): 20,  # as published, not 9
    ("PBMC3k_test", "scRF", "B", "max-change", "decile+5", "", "", "run_time", "180"): 1.5,
}  # fmt: skip
#: numbers that are not to be had, and values that are none
OTHERS = [
    ("KIDNEY10k_test", "scRF", "B", "CGD", "", "1", "1", "n_tested_genes", "10"),
    ("PBMC3k_test", "scRF", "B", "CGD", "", "1", "1", "n_modified_genes", "3; 4"),
    ("PBMC3k_test", "scRF", "B", "CGD", "", "1", "1", "new_target", "NK"),
]


@pytest.mark.slow
def test_our_numbers_stand_beside_the_published_ones(few: Setting) -> None:
    published = pd.DataFrame([*WANTED, *OTHERS], columns=[*KEYS, "value"])
    found = beside_published(published, TABLES, few, Execution())
    here = found.set_index([*KEYS, "published"])["here"].to_dict()
    assert here == WANTED
    modifiable = ("PBMC3k_undivided", "scType", "B", "max-change", "perc1", "", "", "n_modifiable_genes")
    other = beside_published(pd.DataFrame([(*modifiable, "1")], columns=[*KEYS, "value"]), TABLES, few, Execution())
    assert other["here"].tolist() == [few.test.n_vars - 2]
    row = found[found["metric"] == "run_time"].iloc[0]
    assert row["ratio"] == pytest.approx(1.5 / 180)


@pytest.mark.slow
def test_cells_are_counted_in_both_halves(few: Setting) -> None:
    rows = [("PBMC3k_test", "", "", "n_cells", "1"), ("PBMC3k_train", "", "Dendritic", "n_cells", "2")]
    published = pd.DataFrame(
        [(data, "", cluster, "", "", "", "", metric, n) for data, _, cluster, metric, n in rows],
        columns=[*KEYS, "value"],
    )
    found = beside_published(published, TABLES, few, Execution())
    assert found["here"].tolist() == [few.test.n_obs, (few.train.obs["cell_type"] == "Dendritic").sum()]


@pytest.mark.slow
def test_descents_are_made_again_by_the_steps_of_the_r_code(few: Setting) -> None:
    about = ("PBMC3k_test", "scMLP", "CD19+ B", "CGD", "", "1.5", "0")
    metrics = ["n_modified_genes", "frac_orig_start", "frac_orig_end", "mean_target_score_end", "cluster_size"]
    published = pd.DataFrame([(*about, metric, "1") for metric in metrics], columns=[*KEYS, "value"])
    here = beside_published(published, TABLES, few, Execution()).set_index("metric")["here"]
    genes = list(adv.rank_genes(few.test, "cell_type"))[:500]
    attack = adv.attacks.ClusterGradientDescent(1.5, 0, genes=genes, reference=True)
    result = attack(few.test, few.models["scMLP"], groupby="cell_type", target="CD19+ B")
    assert here["n_modified_genes"] == len(result.modified_genes)
    assert here["cluster_size"] == result.n_cells
    assert here["frac_orig_start"] == pytest.approx(result.start["original_share"])
    last = result.steps.iloc[-1]
    assert here["frac_orig_end"] == pytest.approx(last["original_share"])
    assert here["mean_target_score_end"] == pytest.approx(last["new_score"])


def test_every_published_number_of_sctype_is_known_by_its_name(shared: Path) -> None:
    """The names of this table are those of the specification: all but the random modification find ours."""
    published = read_numbers(shared / "specs" / "paper_numbers.csv")
    part = published[(published["classifier"] == "scType") & (published["dataset"] == "PBMC3k_undivided")]
    metrics = set(part["metric"][~part["metric"].str.startswith("n_genes_to:")])
    ours = {"n_success_genes", "signature_length", "mean_n_success_genes"}
    assert metrics == ours | {"n_modifiable_genes", "spearman_rho(signature length, n single-gene)"}


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("dataset,value\na,1\n")
    with pytest.raises(DataError, match="lacks the column"):
        read_numbers(tmp_path / "x.csv")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        read_numbers(tmp_path / "nowhere.csv")
