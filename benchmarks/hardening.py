"""What hardening brings and costs on PBMC3k: attacks on the held-out half, before and after, for several splits."""

from __future__ import annotations

import sys
from typing import Any

import anndata
import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from common import pbmc3k, save, show

SEEDS = (0, 1, 2)
FOLDS = (1, 5)
GENES = 2_000  # what is trained on, but for PGD: the first of the training half's ranking
MOVED = 200  # genes that CGD may move, the first of these
BATCH = 128  # cells per step of the MLP, so that many trainings end in minutes


class Logistic(adv.classifiers.Classifier):
    """scikit-learn's logistic regression as something that can be trained again: `fit` gives the wrapped estimator."""

    name = "logistic regression"
    estimator = LogisticRegression(C=0.01, max_iter=300)

    def decide(self, X: np.ndarray) -> Any:
        raise NotImplementedError

    def fit(self, adata: anndata.AnnData, groupby: str, *, layer: str | None = None) -> Any:
        X = adata.X if layer is None else adata.layers[layer]
        fitted = clone(self.estimator).fit(X, adata.obs[groupby].astype(str))
        return adv.classifiers.wrap(fitted, genes=list(adata.var_names))


#: classifier, attack (None: CGD along the ranking), settings of harden(); PGD has the same 20 steps before and after
CASES: dict[str, tuple[adv.classifiers.Classifier, adv.attacks.Attack | None, dict[str, Any]]] = {
    "scRF, CGD": (adv.classifiers.RandomForest(200, seed=0), None, {}),
    "logistic regression, CGD": (Logistic(), None, {}),
    "MLP, CGD": (adv.classifiers.MLP(seed=0, batch_size=BATCH), None, {}),
    "scAnnotatR, one gene switched on": (adv.classifiers.ScAnnotatR(), adv.attacks.SingleGene("perc99"), {}),
    "scAnnotatR, one gene switched off": (adv.classifiers.ScAnnotatR(), adv.attacks.SingleGene("perc1"), {}),
    "scAnnotatR, one gene at an impossible value": (
        adv.classifiers.ScAnnotatR(), adv.attacks.SingleGene("positive_aberrant"), {},
    ),
    "MLP, PGD 0.05": (
        adv.classifiers.MLP(seed=0, batch_size=BATCH), adv.attacks.ProjectedGradientDescent(0.05, steps=20),
        {"method": "pgd", "epsilon": 0.1, "rounds": 1},
    ),
}  # fmt: skip


def row(case: str, seed: int, folds: int) -> dict[str, object]:
    """Return one hardening: first row of its table against the last."""
    classifier, attack, settings = CASES[case]
    train, test = adv.datasets.split(pbmc3k(), "cell_type", seed=seed)
    pgd = settings.get("method") == "pgd"
    if not pgd:
        genes = adv.rank_genes(train, "cell_type")[:GENES]
        train, test = train[:, genes].copy(), test[:, genes].copy()
        attack = attack or adv.attacks.ClusterGradientDescent(1, 1, genes=genes[:MOVED])
    options = {"rounds": 2, "folds": folds, "test": test, "progress": False, **settings}
    done = adv.harden(train, classifier, attack, groupby="cell_type", **options)
    first, last = done.table.iloc[0], done.table.iloc[-1]
    assert done.before is not done.classifier

    def change(column: str, form: str) -> str:
        return "" if first.isna()[column] else f"{first[column]:{form}} -> {last[column]:{form}}"

    return {
        "case": case,
        "folds": "" if pgd else folds,
        "split": seed,
        "rounds": int(last["round"]),
        "clusters flipped": change("flipped", ".0f") + f" of {int(last['clusters'])}",
        "flipping genes": change("flipping_genes", ",.0f"),
        "genes needed": change("genes_needed", ".1f") if "CGD" in case else "",
        "accuracy, attacked": change("attacked_accuracy", ".3f"),
        "accuracy, clean": change("clean_accuracy", ".3f"),
    }


def main() -> None:
    """Print rows as they come; name cases by a part of their text to run only those, which stores nothing."""
    wanted = sys.argv[1:] or [""]
    rows = []
    for case, (_, _, settings) in CASES.items():
        for folds in FOLDS[:1] if settings.get("method") == "pgd" else FOLDS:
            for seed in SEEDS if any(part in case for part in wanted) else ():
                rows.append(row(case, seed, folds))
                print(rows[-1], flush=True)
    print(show(rows))
    if not sys.argv[1:]:
        save("hardening", rows)


if __name__ == "__main__":
    main()
