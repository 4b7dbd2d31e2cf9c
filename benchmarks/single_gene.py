"""Exact single-gene scan against re-predicting the cluster gene by gene, for each family, in one run."""

from __future__ import annotations

import time

import numpy as np

import adverscarial as adv
from adverscarial.cluster import Cluster
from common import REPEATS, halves, median_seconds, save, show

GENES = 200  # genes that the slow loop is timed on; the rest is extrapolated
TARGET = "B"
MODIFICATION = adv.modifications.parse("perc99")


def scan_seconds(model: adv.classifiers.Classifier, test: adv.attacks.base.AnnData) -> tuple[float, adv.attacks.Result]:
    """Return the time of one whole attack: cluster, statistics, scorer, all genes, result."""
    attack = adv.attacks.SingleGene(MODIFICATION)
    result = attack(test, model, groupby="cell_type", target=TARGET)
    seconds = median_seconds(lambda: attack(test, model, groupby="cell_type", target=TARGET))
    return seconds, result


def loop_seconds(predict, cluster: Cluster, result: adv.attacks.SingleGeneResult) -> float:
    """Return the time of the plain loop over all genes, extrapolated from some; its answers must be ours."""
    genes = np.random.default_rng(0).choice(len(cluster.genes), GENES, replace=False)
    values = MODIFICATION.values(cluster, genes)
    said = result.to_frame().set_index("gene")["label"]
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for k, gene in enumerate(genes[: GENES // REPEATS]):
            X = cluster.X.copy()
            X[:, gene] = values[0, k]
            labels, counts = np.unique(predict(X), return_counts=True)
            assert labels[np.argmax(counts)] == said[cluster.genes[gene]]
        seconds.append((time.perf_counter() - start) / (GENES // REPEATS))
        genes, values = np.roll(genes, -GENES // REPEATS), np.roll(values, -GENES // REPEATS, axis=1)
    return float(np.median(seconds)) * len(cluster.genes)


def row(family: str, model, predict, test) -> dict[str, object]:
    """Return one row of the table."""
    ours, result = scan_seconds(model, test)
    loop = loop_seconds(predict, Cluster(test, "cell_type", TARGET), result)
    return {
        "family": family,
        "cells x genes": f"{result.n_cells} x {len(result.gene):,}",
        "flips": len(result.genes),
        "plain loop, s": f"{loop:,.0f}",
        "exact scan, s": f"{ours:.3f}",
        "ratio": f"{loop / ours:,.0f}",
    }


def forest(train, test) -> dict[str, object]:
    """Random forest of 500 trees; the loop calls scikit-learn's own predict on the same trees."""
    from sklearn.ensemble import RandomForestClassifier

    model = adv.classifiers.RandomForest(500, seed=0).fit(train, "cell_type")
    balanced = adv.datasets.balance(train, "cell_type", 100, seed=0)
    estimator = RandomForestClassifier(500, random_state=0).fit(balanced.X, balanced.obs["cell_type"].astype(str))
    assert (estimator.predict(test.X) == model.predict(test)).all()
    return row("RandomForest, 500 trees", model, estimator.predict, test)


def main() -> None:
    train, test = halves()
    rows = [forest(train, test)]
    print(show(rows))
    save("single_gene", rows)


if __name__ == "__main__":
    main()
