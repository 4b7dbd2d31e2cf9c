"""Cluster gradient descent against the same steps with the whole cluster predicted again, in one run."""

from __future__ import annotations

from collections.abc import Callable

import anndata
import numpy as np

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from common import clock, data_folder, halves, median_seconds, save, show

GENES = 500
ALPHA = EPSILON = 1.0
TARGET = "B"
Scores = Callable[[np.ndarray], np.ndarray]


def descend(scores: Scores, classes: list[str], cluster: Cluster, genes: list[str]) -> list[tuple[str, int]]:
    """Return the gene of each step and how many cells moved, every question a copy of the rows predicted whole."""
    X = cluster.X.copy()
    now = scores(X)
    names = np.array(classes)
    original = np.bincount(now.argmax(axis=1), minlength=len(names)).argmax()
    steps: list[tuple[str, int]] = []
    for gene in cluster.positions(genes):
        votes = np.bincount(now.argmax(axis=1), minlength=len(names))
        votes[original] = 0
        if votes.any():
            new = min(np.flatnonzero(votes == votes.max()).tolist(), key=names.__getitem__)
        else:
            new = int(np.argmax(np.where(np.arange(len(names)) == original, -np.inf, now.mean(axis=0))))
        x = X[:, gene].astype(np.float64)
        moving = now.argmax(axis=1) != new
        trial = X.copy()
        trial[:, gene] = np.where(moving, (1 + ALPHA * np.sign(x)) * x + EPSILON, x)
        gradient = scores(trial) - now
        gradient[np.abs(gradient) <= 1e-12 * np.abs(now)] = 0
        gain, own = gradient[:, new], gradient[:, original]
        s = np.sign(np.where(np.isclose(gain, own, rtol=1e-7, atol=0), 0, gain - own)) * moving
        step = np.where(s == 0, x, (1 + ALPHA * np.sign(x) * s) * x + EPSILON * s).astype(X.dtype)
        moved = int((step != X[:, gene]).sum())
        if moved:
            X = X.copy()
            X[:, gene] = step
            now = scores(X)
        steps.append((str(cluster.genes[gene]), moved))
    return steps


def row(
    family: str, model: adv.classifiers.Classifier, scores: Scores | None, cells: anndata.AnnData, genes: list[str]
) -> dict[str, object]:
    """Return one row of the table: the whole attack as a user calls it, beside the loop where there is one."""
    attack = adv.attacks.ClusterGradientDescent(ALPHA, EPSILON, genes=genes, stop_at_switch=False)
    result = attack(cells, model, groupby="cell_type", target=TARGET)
    assert result.verify(cells, model)
    ours = median_seconds(lambda: attack(cells, model, groupby="cell_type", target=TARGET), repeats=3)
    loop = None
    if scores is not None:
        cluster = Cluster(cells, "cell_type", TARGET)
        start = clock()
        steps = descend(scores, list(model.classes), cluster, genes)
        loop = clock() - start
        assert steps == list(zip(result.tested_genes, result.n_changed.tolist(), strict=True))
    last = result.steps.iloc[-1]
    filled = {
        "family": family,
        "cells": result.n_cells,
        "genes tested, moved": f"{len(result.gene)}, {len(result.modified_genes)}",
        "questions": f"{result.queries:,}",
        "keep the label": f"{last['original_share']:.0%}",
        "plain loop, s": "" if loop is None else f"{loop:,.1f}",
        "CGD, s": f"{ours:.3f}",
        "ratio": "" if loop is None else f"{loop / ours:,.0f}",
    }
    print(filled, flush=True)
    return filled


def main() -> None:
    from sklearn.ensemble import RandomForestClassifier

    train, test = halves()
    genes = adv.rank_genes(test, "cell_type")[:GENES]
    forest = adv.classifiers.RandomForest(500, seed=0).fit(train, "cell_type")
    balanced = adv.datasets.balance(train, "cell_type", 100, seed=0)
    estimator = RandomForestClassifier(500, random_state=0).fit(balanced.X, balanced.obs["cell_type"].astype(str))
    assert list(estimator.classes_) == list(forest.classes)
    network = adv.classifiers.MLP(seed=0).fit(train, "cell_type")
    svm = adv.classifiers.ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X")
    sctype = adv.classifiers.ScType(data_folder() / "sctype_db.tsv", tissue="Immune system")
    rows = [
        row("scRF, 500 trees", forest, estimator.predict_proba, test, genes),
        row("scMLP, 128-64", network, lambda X: np.asarray(network.decide(X).scores), test, genes),
        row("scType", sctype, None, test, genes),
        row("scAnnotatR", svm, None, test, genes),
    ]
    print(show(rows))
    save("cgd", rows)


if __name__ == "__main__":
    main()
