"""The made-up classifiers that the reference outputs were computed with, written from their description."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import softmax

import adverscarial as adv


def cells(path: Path) -> AnnData:
    """Read one of the reference inputs: cell, cluster, genes."""
    frame = pd.read_csv(path, index_col=0, float_precision="round_trip")
    clusters = frame.pop("cluster").astype(str)
    return AnnData(
        frame.to_numpy(dtype=float), obs=pd.DataFrame({"cluster": clusters}), var=pd.DataFrame(index=frame.columns)
    )


def linear(spec: dict) -> adv.classifiers.Classifier:
    weights, bias = np.array(spec["W"]).T, np.array(spec["b"])
    return adv.classifiers.wrap(
        lambda X: softmax(X @ weights + bias, axis=1), classes=spec["types"], genes=spec["genes"]
    )


def tree(spec: dict) -> adv.classifiers.Classifier:
    (g1, g2, g3), (t1, t2, t3) = spec["genes"], spec["thresholds"]

    def rule(expression, clusters, target):
        m = expression.loc[(clusters == target).to_numpy()].mean()
        if m[g1] > t1:
            return ("T1", 0.9) if m[g2] > t2 else ("T2", 0.8)
        return ("T3", 0.7) if m[g3] > t3 else ("NA", 0.1)

    return adv.classifiers.wrap(rule)


def ratio(spec: dict) -> adv.classifiers.Classifier:
    def rule(expression, clusters, target):
        inside = expression.loc[(clusters == target).to_numpy()]
        up, down = inside[spec["num"]].to_numpy().mean(), inside[spec["den"]].to_numpy().mean()
        r = (up + spec["pseudo"]) / (down + spec["pseudo"])
        return spec["labels"][int(np.sum(np.array(spec["cuts"]) < r))], r

    return adv.classifiers.wrap(rule)


def marker_rules() -> adv.classifiers.Classifier:
    """Rules on cluster means; later ones win."""

    def rule(expression, clusters, target):
        m = expression.loc[(clusters == target).to_numpy()].mean()
        label = "UNDETERMINED"
        for gene, above, below, name in (
            ("LTB", 7, np.inf, "Memory CD4 T"),
            ("CD79A", 2, np.inf, "B"),
            ("S100A9", 10, np.inf, "CD14+ Mono"),
            ("GZMB", 5, np.inf, "NK"),
            ("GZMK", 2, np.inf, "CD8 T"),
            ("LDHB", 3, 3.3, "Naive CD4 T"),
            ("CCR7", 0.5, np.inf, "Naive CD4 T"),
            ("LST1", 10, np.inf, "FCGR3A+ Mono"),
            ("CD74", 50, np.inf, "DC"),
            ("PF4", 10, np.inf, "Platelet"),
        ):
            if above < m[gene] < below:
                label = name
        return label, 1.0

    return adv.classifiers.wrap(rule)


def setting(shared: Path, name: str) -> tuple[AnnData, adv.classifiers.Classifier]:
    """Return the input and the classifier of a reference case."""
    inputs = shared / "golden" / "inputs"
    if name == "MClassifier":
        return cells(inputs / "pbmc.csv"), marker_rules()
    specs = json.loads((inputs / "classifiers.json").read_text())
    build = {"linear_sim": linear, "tree_sim": tree, "ratio_sim": ratio}[name]
    return cells(inputs / "sim.csv"), build(specs[name])


#: the modifications of the reference runs, as the R code computes them
REFERENCE = {
    "perc1": "perc1",
    "perc99": "perc99",
    "decile+5": "decile+5:reference",
    "positive_aberrant": "positive_aberrant:reference",
    "negative_aberrant": "negative_aberrant:reference",
}
