"""Smallest sets that flip a cluster of PBMC3k, and shortest signatures: how near what is found comes to what is proven.

``python benchmarks/min_change.py [MODEL ...] [MODIFICATION ...]`` asks about the models and modifications that are
named, or all, keeps every case in ``results/min_change_cases.csv``, and makes the tables of all that are there.
``cells`` is the part about single cells. With --others only other attacks are asked, about the cases that are kept;
with --tables only the tables are made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import anndata
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from common import HERE, QUICK, clock, data_folder, halves, save, show
from min_change_bars import Row, bars, table
from min_change_others import judged
from single_gene import celltypist

CASES = HERE / "results" / "min_change_cases.csv"
CHANGES = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")
#: signatures are asked for these only; of networks, flips of small clusters only
SIGNATURES = {"scType": CHANGES, "logistic regression": ("perc99",), "scRF": ("perc99",)}
SMALL = ("DC", "NK", "Platelet")
MANY = 2_000 if QUICK else 100_000


Asked = tuple[adv.classifiers.Classifier, anndata.AnnData]


def logistic(train: anndata.AnnData, test: anndata.AnnData) -> Asked:
    """Return logistic regression, and the cells it is asked about."""
    estimator = LogisticRegression(C=0.01, max_iter=100).fit(train.X, train.obs["cell_type"].astype(str))
    return adv.classifiers.wrap(estimator, genes=list(train.var_names)), test


def celltypist_form(
    train: anndata.AnnData, test: anndata.AnnData
) -> tuple[adv.classifiers.Classifier, anndata.AnnData]:
    """Return a CellTypist model, and cells as it reads them."""
    case = celltypist(train, test)
    return case.model, case.cells


MODELS: dict[str, Callable[..., Asked]] = {
    "scType": lambda _, test: (adv.classifiers.ScType(data_folder() / "sctype_db.tsv", tissue="Immune system"), test),
    "logistic regression": logistic,
    "CellTypist": celltypist_form,
    "scRF": lambda train, test: (adv.classifiers.RandomForest(500, seed=0).fit(train, "cell_type"), test),
    "scMLP": lambda train, test: (adv.classifiers.MLP(seed=0).fit(train, "cell_type"), test),
}


def cases(name: str, wanted: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the cases of one model, those of one question and modification at a time."""
    model, cells = MODELS[name](*halves())
    clusters = SMALL if name == "scMLP" or QUICK else sorted(cells.obs["cell_type"].astype(str).unique())
    changes = ("perc99", "perc1") if name == "scMLP" else CHANGES
    asked = [("flip", change, adv.attacks.MinChange(change)) for change in changes]
    asked += [("signature", change, adv.attacks.MaxChange(change)) for change in SIGNATURES.get(name, ())]
    asked = [question for question in asked if question[1] in wanted]
    asked[0][2](cells, model, groupby="cell_type", target=clusters[0])  # compiles
    flips: list[Row] = []
    for question, change, attack in asked:
        rows: list[Row] = []
        for cluster in clusters:
            start = clock()
            result = attack(cells, model, groupby="cell_type", target=cluster)
            seconds = round(clock() - start, 4)
            flip = question == "flip"
            found = result.upper if flip else len(result.signature)
            rows.append({
                "model": name, "question": question, "modification": change, "cluster": cluster,
                "lower": np.inf if flip and result.impossible else result.lower,
                "upper": np.inf if found is None else found, "seconds": seconds,
                "proof": result.proof if flip else "",
            })  # fmt: skip
        yield rows
        flips += rows if flip else []
    yield list(judged(name, model, cells, flips))


def beside_others(name: str) -> Iterator[list[Row]]:
    """Yield what other attacks find in the cases of one model that are kept."""
    kept = pd.read_csv(CASES)
    kept = kept[(kept["model"] == name) & (kept["question"] == "flip")]
    yield list(judged(name, *MODELS[name](*halves()), kept.to_dict("records")))


def of_cells() -> list[Row]:
    """Return processor seconds per cell of ``fragility``, for linear models, of many cells too."""
    train, test = halves()
    model, _ = logistic(train, test)
    rows = [fragility_row("logistic regression", model, test)]
    estimator = LogisticRegression(max_iter=50).fit(train.layers["lognorm"], train.obs["cell_type"].astype(str))
    some = np.random.default_rng(0).integers(0, test.n_obs, MANY)
    many = anndata.AnnData(test.layers["lognorm"][some], var=pd.DataFrame(index=test.var_names))
    many.obs_names = [f"cell{i}" for i in range(MANY)]
    sparse = adv.classifiers.wrap(estimator, genes=list(train.var_names))
    return [*rows, fragility_row("logistic regression of log-normalised values", sparse, many)]


def fragility_row(name: str, model: adv.classifiers.Classifier, cells: anndata.AnnData) -> Row:
    """Return one row about all cells, each by itself."""
    adv.fragility(cells[:50].copy(), model, modification="perc99", progress=False)  # compiles
    start = clock()
    adv.fragility(cells, model, modification="perc99", progress=False)
    seconds, found = clock() - start, cells.obs
    return {
        "model": name, "question": "cells", "modification": "perc99", "cluster": f"{cells.n_obs:,} cells",
        "lower": found["fragility_lower"].median(), "upper": found["fragility_upper"].median(), "seconds": seconds,
        "theirs": float((found["fragility_lower"] == found["fragility_upper"]).mean()), "cells": cells.n_obs,
    }  # fmt: skip


def keep(found: pd.DataFrame) -> None:
    """Write cases to the file, in place of those of the same model, question and modification."""
    if QUICK:
        return
    if CASES.is_file():
        key = ["model", "question", "modification"]
        kept = pd.read_csv(CASES)
        found = pd.concat([kept[~kept[key].apply(tuple, axis=1).isin(found[key].apply(tuple, axis=1))], found])
    found.to_csv(CASES, index=False, float_format="%.5g")


def main() -> None:
    """Ask about the models that are named, or all, and make the tables."""
    words = [name for name in sys.argv[1:] if not name.startswith("--")]
    changes = [word for word in words if word in CHANGES] or CHANGES
    wanted = [word for word in words if word not in CHANGES] or [*MODELS, "cells"]
    parts = beside_others if "--others" in sys.argv else partial(cases, wanted=changes)
    for name in wanted if "--tables" not in sys.argv else ():
        for rows in [of_cells()] if name == "cells" else parts(name):
            if rows:
                print(show(rows), flush=True)
                keep(pd.DataFrame(rows))
    if not QUICK:
        found = pd.read_csv(CASES)
        peers = HERE / "results" / "sparse_peers.json"
        beside = json.loads(peers.read_text())["rows"] if peers.is_file() else []
        for name, rows in (("min_change", table(found)), ("min_change_bars", bars(found, beside))):
            print(show(rows))
            save(name, rows)


if __name__ == "__main__":
    main()
