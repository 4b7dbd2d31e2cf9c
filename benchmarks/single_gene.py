"""Exact single-gene scan against re-predicting the cluster gene by gene, for each family, in one run."""

from __future__ import annotations

from collections.abc import Callable

import anndata
import numpy as np

import adverscarial as adv
from adverscarial.cluster import Cluster
from common import REPEATS, clock, data_folder, halves, median_seconds, save, show

GENES = 200  # genes that the slow loop is timed on; the rest is extrapolated
TARGET = "B"
MODIFICATION = adv.modifications.parse("perc99")
Predict = Callable[[np.ndarray], np.ndarray]


def loop_seconds(predict: Predict, cluster: Cluster, result: adv.attacks.SingleGeneResult) -> float:
    """Return the time of the plain loop over all genes, extrapolated from some; its answers must be ours."""
    genes = np.random.default_rng(0).choice(len(cluster.genes), GENES, replace=False)
    values = MODIFICATION.values(cluster, genes)[0]
    said = result.to_frame().set_index("gene")["label"]
    seconds = []
    for part in np.array_split(np.arange(GENES), REPEATS):
        start = clock()
        for k in part:
            X = cluster.X.copy()
            X[:, genes[k]] = values[k]
            labels, counts = np.unique(np.asarray(predict(X), dtype=str), return_counts=True)
            assert labels[np.argmax(counts)] == said[cluster.genes[genes[k]]]
        seconds.append((clock() - start) / len(part))
    return float(np.median(seconds)) * len(cluster.genes)


def row(family: str, model: adv.classifiers.Classifier, predict: Predict, cells: anndata.AnnData) -> dict[str, object]:
    """Return one row of the table: the whole attack as a user calls it, beside the loop."""
    attack = adv.attacks.SingleGene(MODIFICATION)
    result = attack(cells, model, groupby="cell_type", target=TARGET)
    ours = median_seconds(lambda: attack(cells, model, groupby="cell_type", target=TARGET))
    loop = loop_seconds(predict, Cluster(cells, "cell_type", TARGET), result)
    filled = {
        "family": family,
        "cells x genes": f"{result.n_cells} x {len(result.gene):,}",
        "genes read": f"{result.queries:,}",
        "flips": len(result.genes),
        "plain loop, s": f"{loop:,.0f}",
        "exact scan, s": f"{ours:.3f}",
        "ratio": f"{loop / ours:,.0f}",
    }
    print(filled, flush=True)
    return filled


def forest(train: anndata.AnnData, test: anndata.AnnData) -> dict[str, object]:
    """Random forest of 500 trees; the loop calls scikit-learn's own predict on the same trees."""
    from sklearn.ensemble import RandomForestClassifier

    model = adv.classifiers.RandomForest(500, seed=0).fit(train, "cell_type")
    balanced = adv.datasets.balance(train, "cell_type", 100, seed=0)
    estimator = RandomForestClassifier(500, random_state=0).fit(balanced.X, balanced.obs["cell_type"].astype(str))
    assert (estimator.predict(test.X) == model.predict(test)).all()
    return row("scRF, 500 trees", model, estimator.predict, test)


def linear(train: anndata.AnnData, test: anndata.AnnData) -> dict[str, object]:
    """Logistic regression of scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(C=0.01, max_iter=100).fit(train.X, train.obs["cell_type"].astype(str))
    model = adv.classifiers.wrap(estimator, genes=list(train.var_names))
    return row("logistic regression", model, estimator.predict, test)


def own(name: str, model: adv.classifiers.Classifier, cells: anndata.AnnData) -> dict[str, object]:
    """A classifier of this package; the loop calls its plain prediction of the rows."""
    genes = cells.var_names
    bound = model.bind(genes)
    columns = bound.align(genes)
    return row(name, model, lambda X: bound.decide(X[:, columns]).labels, cells)


def svm(train: anndata.AnnData, test: anndata.AnnData) -> dict[str, object]:
    """scAnnotatR z-scores over all cells, so its loop predicts all cells' marker genes."""
    model = adv.classifiers.ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X")
    columns = model.align(test.var_names)
    rows = Cluster(test, "cell_type", TARGET).rows
    whole = np.asarray(test.X[:, columns], dtype=float)

    def predict(X: np.ndarray) -> np.ndarray:
        cells = whole.copy()
        cells[rows] = X[:, columns]
        return model.decide(cells).labels[rows]

    return row("scAnnotatR, 9 SVMs", model, predict, test)


def counted(cells: anndata.AnnData) -> anndata.AnnData:
    """Return the cells with counts in X."""
    other = cells.copy()
    other.X = other.layers["counts"].toarray().astype(np.float64)
    return other


def main() -> None:
    train, test = halves()
    markers = data_folder() / "sctype_db.tsv"
    rows = [
        own("scType, 34 types", adv.classifiers.ScType(markers, tissue="Immune system"), test),
        linear(train, test),
        forest(train, test),
        own("CHETAH", adv.classifiers.Chetah().fit(counted(train), "cell_type"), counted(test)),
        svm(train, test),
        own("scMLP, 128-64", adv.classifiers.MLP(seed=0).fit(train, "cell_type"), test),
    ]
    print(show(rows))
    save("single_gene", rows)


if __name__ == "__main__":
    main()
