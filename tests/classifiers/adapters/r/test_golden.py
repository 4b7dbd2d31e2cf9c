"""The marker classifier of the R package, written anew from its rules and asked in R, gives the package's answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.classifiers import RClassifier

#: gene, lower and upper limit of the cluster's mean, type; a later rule wins
RULES = [
    ("LTB", 7, "Inf", "Memory CD4 T"), ("CD79A", 2, "Inf", "B"), ("S100A9", 10, "Inf", "CD14+ Mono"),
    ("GZMB", 5, "Inf", "NK"), ("GZMK", 2, "Inf", "CD8 T"), ("LDHB", 3, 3.3, "Naive CD4 T"),
    ("CCR7", 0.5, "Inf", "Naive CD4 T"), ("LST1", 10, "Inf", "FCGR3A+ Mono"), ("CD74", 50, "Inf", "DC"),
    ("PF4", 10, "Inf", "Platelet"),
]  # fmt: skip
SCRIPT = (
    "marker_types <- function(expr, clusters, target) {\n"
    "  means <- colMeans(expr[clusters == target, , drop = FALSE])\n"
    "  found <- 'UNDETERMINED'\n"
    + "".join(
        f"  if (means['{g}'] > {low} && means['{g}'] < {high}) found <- '{name}'\n" for g, low, high, name in RULES
    )
    + "  list(prediction = unname(found), odd = 1)\n}\n"
)


@pytest.mark.slow
def test_the_marker_classifier_of_the_package(shared: Path, write: Callable[[str], Path]) -> None:
    golden = json.loads((shared / "golden" / "b_mclassifier.json").read_text())["results"]
    table = pd.read_csv(shared / "golden" / "inputs" / "pbmc.csv", index_col="cell")
    cells = AnnData(table.drop(columns="cluster").astype(np.float64), obs=table[["cluster"]])
    for expression in ("matrix", "data.frame"):
        with RClassifier(write(SCRIPT), "marker_types", expression=expression) as model:
            for target, expected in golden.items():
                said = adv.predict(cells, model, groupby="cluster", target=target)
                assert (said.label, said.share) == (expected["prediction"], expected["odd"])
