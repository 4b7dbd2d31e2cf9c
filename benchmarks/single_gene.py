"""Exact single-gene scan against re-predicting the cluster gene by gene, for each family, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import anndata
import numpy as np

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from common import QUICK, REPEATS, clock, data_folder, halves, median_seconds, save, show

TARGET = "B"
MODIFICATION = adv.modifications.parse("perc99")
Predict = Callable[[np.ndarray], np.ndarray]


class Case(NamedTuple):
    """A trained classifier, its plain prediction of rows, and cells to attack.

    Attributes
    ----------
    genes
        How many genes the plain loop is timed on; the rest is extrapolated.
    repeats
        Of the scan; 0 where the first one counts.
    """

    family: str
    model: adv.classifiers.Classifier
    predict: Predict
    cells: anndata.AnnData
    genes: int = 50 if QUICK else 200
    repeats: int = REPEATS


def loop_seconds(case: Case, cluster: Cluster, result: adv.attacks.SingleGeneResult) -> float:
    """Return the time of the plain loop over all genes, extrapolated from some; its answers must be ours."""
    genes = np.random.default_rng(0).choice(len(cluster.genes), case.genes, replace=False)
    said = result.to_frame().set_index("gene")["label"]
    seconds = []
    for part in np.array_split(genes, REPEATS):
        values = MODIFICATION.values(cluster, part)[0]
        start = clock()
        labels = [asked(case.predict, cluster.X, gene, value) for gene, value in zip(part, values, strict=True)]
        seconds.append((clock() - start) / len(part))
        assert labels == said[cluster.genes[part]].to_list()
    return float(np.median(seconds)) * len(cluster.genes)


def asked(predict: Predict, X: np.ndarray, gene: int, value: float) -> str:
    """Return the cluster's label with one gene changed: a copy of its rows, predicted whole."""
    X = X.copy()
    X[:, gene] = value
    labels, counts = np.unique(np.asarray(predict(X), dtype=str), return_counts=True)
    return str(labels[np.argmax(counts)])


def scan(case: Case) -> adv.attacks.SingleGeneResult:
    """Return the whole attack as a user calls it."""
    return adv.attacks.SingleGene(MODIFICATION)(case.cells, case.model, groupby="cell_type", target=TARGET)


def row(case: Case) -> dict[str, object]:
    """Return one row of the table: the whole attack beside the loop."""
    start = clock()
    result = scan(case)
    ours = median_seconds(lambda: scan(case), case.repeats) if case.repeats else clock() - start
    loop = loop_seconds(case, Cluster(case.cells, "cell_type", TARGET), result)
    filled = {
        "family": case.family,
        "cells x genes": f"{result.n_cells} x {len(result.gene):,}",
        "genes read": f"{result.queries:,}",
        "flips": len(result.genes),
        "plain loop, s": f"{loop:,.0f}",
        "exact scan, s": f"{ours:.3f}",
        "ratio": f"{loop / ours:,.0f}",
    }
    print(filled, flush=True)
    return filled


def cases() -> Iterator[Case]:
    """Yield every family with a form of its own, trained on one half of PBMC3k."""
    train, test = halves()
    markers = data_folder() / "sctype_db.tsv"
    yield own("scType, 34 types", adv.classifiers.ScType(markers, tissue="Immune system"), test)
    yield own("markers, 9 types", adv.classifiers.Markers().fit(train, "cell_type"), test)
    yield linear(train, test)
    yield celltypist(train, test)
    yield forest(train, test)
    yield boosted(train, test)
    yield own("CHETAH", adv.classifiers.Chetah().fit(counted(train), "cell_type"), counted(test))
    yield svm(train, test)
    yield own(
        "SingleR", adv.classifiers.SingleR(seed=0).fit(logged(train), "cell_type"), logged(test), genes=10, repeats=0
    )
    yield own("scMLP, 128-64", adv.classifiers.MLP(seed=0).fit(train, "cell_type"), test)


def forest(train: anndata.AnnData, test: anndata.AnnData) -> Case:
    """Random forest of 500 trees; the loop calls scikit-learn's own predict on the same trees."""
    from sklearn.ensemble import RandomForestClassifier

    model = adv.classifiers.RandomForest(500, seed=0).fit(train, "cell_type")
    balanced = adv.datasets.balance(train, "cell_type", 100, seed=0)
    estimator = RandomForestClassifier(500, random_state=0).fit(balanced.X, balanced.obs["cell_type"].astype(str))
    assert (estimator.predict(test.X) == model.predict(test)).all()
    return Case("scRF, 500 trees", model, estimator.predict, test)


def boosted(train: anndata.AnnData, test: anndata.AnnData) -> Case:
    """XGBoost; the loop calls its own predict."""
    from xgboost import XGBClassifier

    labels = train.obs["cell_type"].astype("category")
    estimator = XGBClassifier(n_estimators=100, max_depth=4, n_jobs=1).fit(train.X, labels.cat.codes)
    names = np.asarray(labels.cat.categories, dtype=str)
    model = adv.classifiers.wrap(estimator, classes=list(names), genes=list(train.var_names))
    return Case("XGBoost, 100 x 9 trees", model, lambda X: names[estimator.predict(X)], test)


def linear(train: anndata.AnnData, test: anndata.AnnData) -> Case:
    """Logistic regression of scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(C=0.01, max_iter=100).fit(train.X, train.obs["cell_type"].astype(str))
    model = adv.classifiers.wrap(estimator, genes=list(train.var_names))
    return Case("logistic regression", model, estimator.predict, test)


def celltypist(train: anndata.AnnData, test: anndata.AnnData) -> Case:
    """A CellTypist model; the loop computes its scores of the cluster's rows."""
    from celltypist import train as train_celltypist

    train, test = logged(train), logged(test)
    model = train_celltypist(train, labels="cell_type", use_SGD=True, max_iter=100, n_jobs=1, random_state=0)
    return own("CellTypist, 9 types", adv.classifiers.wrap(model), test)


def svm(train: anndata.AnnData, test: anndata.AnnData) -> Case:
    """scAnnotatR z-scores over all cells, so its loop predicts all cells' marker genes."""
    model = adv.classifiers.ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X")
    columns = model.align(test.var_names)
    rows = Cluster(test, "cell_type", TARGET).rows
    whole = np.asarray(test.X[:, columns], dtype=float)

    def predict(X: np.ndarray) -> np.ndarray:
        cells = whole.copy()
        cells[rows] = X[:, columns]
        return model.decide(cells).labels[rows]

    return Case("scAnnotatR, 9 SVMs", model, predict, test)


def own(family: str, model: adv.classifiers.Classifier, cells: anndata.AnnData, **more: int) -> Case:
    """A classifier of this package; the loop calls its plain prediction of the rows."""
    bound = model.bind(cells.var_names)
    columns = bound.align(cells.var_names)
    return Case(family, model, lambda X: bound.decide(X[:, columns]).labels, cells, **more)


def counted(cells: anndata.AnnData) -> anndata.AnnData:
    """Return the cells with counts in X."""
    return with_layer(cells, "counts")


def logged(cells: anndata.AnnData) -> anndata.AnnData:
    """Return the cells with log-normalised values in X."""
    return with_layer(cells, "lognorm")


def with_layer(cells: anndata.AnnData, layer: str) -> anndata.AnnData:
    """Return the cells with a layer, dense, in X."""
    other = cells.copy()
    other.X = other.layers[layer].toarray().astype(np.float64)
    return other


def main() -> None:
    rows = [row(case) for case in cases()]
    print(show(rows))
    save("single_gene", rows)


if __name__ == "__main__":
    main()
