"""A black-box attack of the Adversarial Robustness Toolbox on the forest, beside the questions that are asked here."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

import adverscarial as adv
from common import QUICK, clock, halves, save, show

TARGET, GENES = "B", 500
CELLS = 2 if QUICK else 5  # that the toolbox attacks; each takes it thousands of predictions
ROUNDS = 3 if QUICK else 10


@dataclass
class Asked:
    """scikit-learn's own predict, which counts the cells it is given."""

    estimator: object
    cells: int = 0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        self.cells += len(X)
        said = self.estimator.predict(X)
        return np.eye(len(self.estimator.classes_))[np.searchsorted(self.estimator.classes_, said)]


def row(what: str, X: np.ndarray, changed: np.ndarray, flipped: np.ndarray, asked: int, seconds: float) -> dict:
    """Return one row of the table: of the flipped cells, how far they moved and what they cost."""
    moved = np.abs(changed.astype(np.float64) - X)[flipped]
    some = len(moved) > 0
    return {
        "attack": what,
        "cells": len(X),
        "flipped": int(flipped.sum()),
        "predictions of a cell, per cell": f"{asked / len(X):,.0f}",
        "genes changed": f"{np.median((moved > 0).sum(axis=1)):,.0f}" if some else "",
        "distance, l2": f"{np.median(np.linalg.norm(moved, axis=1)):.1f}" if some else "",
        "largest change": f"{np.median(moved.max(axis=1)):.2f}" if some else "",
        "seconds": f"{seconds:.2f}",
        "seconds per flipped cell": f"{seconds / flipped.sum():.4f}" if some else "",
    }


def main() -> None:
    warnings.filterwarnings("ignore")
    from art.attacks.evasion import HopSkipJump
    from art.estimators.classification import BlackBoxClassifier
    from sklearn.ensemble import RandomForestClassifier

    train, test = halves()
    balanced = adv.datasets.balance(train, "cell_type", 100, seed=0)
    estimator = RandomForestClassifier(500, random_state=0).fit(balanced.X, balanced.obs["cell_type"].astype(str))
    model = adv.classifiers.RandomForest(500, seed=0).fit(train, "cell_type")
    inside = (test.obs["cell_type"] == TARGET).to_numpy()
    X = np.asarray(test.X[inside], dtype=np.float32)
    right = estimator.predict(X) == TARGET
    rows = []

    predict = Asked(estimator)
    limits = (float(test.X.min()), float(test.X.max()))
    theirs = BlackBoxClassifier(predict, (X.shape[1],), len(estimator.classes_), clip_values=limits)
    method = HopSkipJump(theirs, max_iter=ROUNDS, verbose=False)
    cells = X[right][:CELLS]
    np.random.seed(0)  # noqa: NPY002  the toolbox draws from numpy's global generator
    start = clock()
    changed = method.generate(cells)
    seconds = clock() - start
    asked = predict.cells
    flipped = estimator.predict(changed) != TARGET
    rows.append(row(f"toolbox, HopSkipJump, {ROUNDS} rounds", cells, changed, flipped, asked, seconds))
    print(rows[-1], flush=True)

    genes = adv.rank_genes(test, "cell_type")[:GENES]
    few = [row_of_attack(stop, genes, model, test, inside, X, right) for stop in (True, False)]
    rows += few
    scan = adv.attacks.SingleGene("perc99")
    scan(test, model, groupby="cell_type", target=TARGET)
    start = clock()
    result = scan(test, model, groupby="cell_type", target=TARGET)
    seconds = clock() - start
    print(f"SingleGene: {len(result.genes)} genes flip the cluster, {result.queries} questions, {seconds:.2f} s")
    ratio = float(rows[0]["seconds per flipped cell"]) / float(rows[2]["seconds per flipped cell"])
    for filled in rows:
        filled["ratio"] = ""
    rows[2]["ratio"] = f"{ratio:,.0f}"
    rows.append(
        dict.fromkeys(rows[0], "")
        | {
            "attack": f"SingleGene, perc99: {len(result.genes)} genes flip the cluster's label",
            "cells": result.n_cells,
            "predictions of a cell, per cell": f"{result.queries:,}",
            "genes changed": 1,
            "seconds": f"{seconds:.2f}",
        }
    )
    print(show(rows))
    save("black_box", rows)


def row_of_attack(
    stop: bool, genes: list[str], model: adv.classifiers.Classifier, test, inside: np.ndarray, X: np.ndarray, right
) -> dict[str, object]:
    """Return the row of our descent: until the cluster's label switches, or through all genes."""
    attack = adv.attacks.ClusterGradientDescent(genes=genes, stop_at_switch=stop)
    attack(test, model, groupby="cell_type", target=TARGET)  # compiles
    start = clock()
    result = attack(test, model, groupby="cell_type", target=TARGET)
    seconds = clock() - start
    after = result.apply(test)
    flipped = (model.predict(after).to_numpy()[inside] != TARGET) & right
    changed = np.asarray(after.X[inside], dtype=np.float32)
    name = "ours, CGD until the label switches" if stop else f"ours, CGD through {len(genes)} genes"
    filled = row(name, X, changed, flipped, result.queries * len(X), seconds)
    print(filled, flush=True)
    return filled


if __name__ == "__main__":
    main()
