"""How many genes must change at least, with the usual settings and with those that spread the decision over many genes.

``python benchmarks/genes_needed.py [DATA ...]`` writes a table for each data set to ``docs/results/hardening``; the
README there is made of all that are there. With ``--family=NAME`` only this family's rows are made anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold

import adverscarial as adv
from adverscarial.classifiers import Classifier, Clipped, Linear, Markers, RandomForest
from common import QUICK, data_folder

OUT = Path(__file__).parents[1] / "docs" / "results" / "hardening"
#: data set, and whether it holds counts (else log-normalised values); all are z-scored
DATA = {
    "pbmc3k": True, "pbmc_ifnb": True, "skin_joost": True, "breast_tumour_immune_lognorm": False,
    "pancreas_mouse_7k": True,  # looked at only when the settings, and the rule by which they are chosen, stood
}  # fmt: skip
GENES = 300 if QUICK else 2_000  # the first of the training half's ranking
CELLS = 25  # of each type that are attacked
FEWEST = 20  # types with fewer cells are left out
SECONDS = 1.0 if QUICK else 2.0  # for one interval; what is proven and found until then counts
CHANGES = ("perc1", "perc99")
TREES = 200

#: family: the usual settings, and those that spread the decision, of which one is chosen for each data set
FAMILIES: dict[str, tuple[Classifier, list[Classifier]]] = {
    "logistic regression": (
        Linear(),
        [
            Clipped(Linear(strength=s, against=k), limit=limit)
            for s, limit, several in (
                (1.0, 2.0, (0, 10, 20)), (0.3, 2.0, (0,)), (1.0, 0.5, (0, 20)), (10.0, 0.5, (20, 30)),
            )
            for k in several
        ],
    ),
    "marker rule": (
        Markers(), [Clipped(Markers(n_markers=n), limit=limit) for n in (30, 100, 200) for limit in (5.0, 3.0, 1.0)]
    ),
    "random forest": (
        RandomForest(TREES, seed=0), [RandomForest(TREES, seed=0, genes_per_tree=n) for n in (50, 100, 200)]
    ),
}  # fmt: skip
FOLDS, LOSS = 3, 0.01  # of the training half, to choose settings; balanced accuracy that may be lost in them
TIMES = 3  # as many genes are wanted

_TEXT = f"""# Genes needed, before and after

Written by `python benchmarks/genes_needed.py`. Each data set is z-scored and cut into halves; the classifiers are
trained on the first, on the {GENES:,} genes that tell its types apart best. In the second, genes are set to their 1st
percentile (perc1) or their 99th (perc99), on at most {CELLS} cells of each type. Types with fewer than {FEWEST} cells
are left out, and so are cells and clusters that either classifier does not call by their own name before the attack.

Which settings are used "after" is chosen for each data set, on the training half alone, in {FOLDS} folds. Settings are
admitted that lose at most {LOSS:g} of the usual settings' balanced accuracy. Of those with which single cells need
{TIMES} times as many genes (perc99) or more, the most accurate are taken; where there are none, those with the most
genes. The folds know that loss to about 0.02 only (its standard error), as the smallest types have few cells.

- *accuracy*: balanced, over all cells of the second half.
- *cells*: how many genes a single cell needs, at least, for another label (`adv.fragility`): the median over the cells.
  Of the weighted sums (the first two) this is the exact number; of the forest it is the proven lower one.
- *clusters*: how many genes a whole cluster needs (`MinChange`, {SECONDS:g} seconds each): the medians, over the
  clusters, of the proven lower number and of the smallest set that was found.
- *times*: of the cells' medians.

"""


def cells_of(name: str, counts: bool) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return cells to train on and cells to attack, z-scored, of the best genes."""
    adata = anndata.read_h5ad(data_folder() / f"{name}.h5ad")
    types = adata.obs["cell_type"].astype(str)
    enough = types.map(types.value_counts()).to_numpy() >= FEWEST
    adata = adata[enough & (adata.obs["cell_type"].notna() & (types != "UNDETERMINED")).to_numpy()].copy()
    scaled = adv.datasets.preprocess(adata, **({} if counts else {"target_sum": None}))
    train, test = adv.datasets.split(scaled, "cell_type", seed=0)
    genes = list(adv.rank_genes(train, "cell_type")[:GENES])
    return train[:, genes].copy(), test[:, genes].copy()


def some_cells(adata: anndata.AnnData) -> anndata.AnnData:
    """Return a few cells of each type."""
    rng, types = np.random.default_rng(0), adata.obs["cell_type"].astype(str).to_numpy()
    rows = [rng.permutation(np.flatnonzero(types == name))[:CELLS] for name in np.unique(types)]
    return adata[np.sort(np.concatenate(rows))].copy()


def judged(model: Classifier, train: anndata.AnnData) -> tuple[np.ndarray, float]:
    """Return which cells are labelled rightly in folds of the training half, and the median of genes they need."""
    types = train.obs["cell_type"].astype(str).to_numpy()
    said, needed = np.empty(len(types), dtype=object), []
    for rest, own in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(types, types):
        trained = clone(model).fit(train[rest].copy(), "cell_type")
        said[own] = trained.predict(train[own].copy()).astype(str)
        found = of_cells(trained, some_cells(train[own]), "own", ("perc99",))
        needed.append(found.to_numpy(dtype=float).ravel())
    return said == types, float(np.nanmedian(np.concatenate(needed)))


def lost(right: np.ndarray, usual: np.ndarray, types: np.ndarray) -> tuple[float, float]:
    """Return the balanced accuracy that is lost to the usual settings, and its standard error, cells drawn by type."""
    each = [(usual.astype(float) - right)[types == name] for name in np.unique(types)]
    error = np.sqrt(sum(part.var() / len(part) for part in each)) / len(each)
    return float(np.mean([part.mean() for part in each])), float(error)


def chosen(usual: Classifier, spread: list[Classifier], train: anndata.AnnData) -> Classifier:
    """Return the settings to use, by the rule that the page states."""
    types = train.obs["cell_type"].astype(str).to_numpy()
    before, genes = judged(usual, train)
    admitted = []
    for model in spread:
        right, needed = judged(model, train)
        loss, error = lost(right, before, types)
        print(f"{model!r}: loses {loss:.3f} +- {error:.3f}, {needed:g} genes for {genes:g}", flush=True)
        if loss <= LOSS and needed > genes:
            admitted.append((model, needed, loss))
    enough = [found for found in admitted if found[1] >= TIMES * genes]
    if enough:
        return min(enough, key=lambda found: found[2])[0]
    return max(admitted, key=lambda found: found[1])[0] if admitted else usual


def intervals(model: Classifier, cells: anndata.AnnData, which: str) -> pd.DataFrame:
    """Return the interval of each cluster and change."""
    attacks = [adv.attacks.MinChange(change, seconds=SECONDS) for change in CHANGES]
    found = adv.survey(cells, {"model": model}, attacks=attacks, groupby="cell_type", progress=False)
    rows = []
    for task, result in found.of(adv.attacks.MinChangeResult):
        ends = [np.inf if result.impossible else result.lower, np.inf if result.upper is None else result.upper]
        rows.append((task.target, task.attack.changes_text, result.baseline == task.target, *ends))
    names = ["recognised", "lower", "upper"]
    return pd.DataFrame(rows, columns=["cluster", "change", *(f"{name}_{which}" for name in names)])


def of_cells(model: Classifier, cells: anndata.AnnData, which: str, changes: tuple[str, ...] = CHANGES) -> pd.DataFrame:
    """Return how many genes the cells of each cluster need, as lists: one row per cluster and change."""
    rows = []
    for change in changes:
        found = adv.fragility(cells, model, modification=change, groupby="cell_type", copy=True, progress=False).obs
        right = found["fragility_label"].astype(str) == found["cell_type"].astype(str)
        rows.append(found["fragility_lower"].where(right).rename((change, which)))
    return pd.concat(rows, axis=1)


def table(name: str, families: list[str]) -> pd.DataFrame:
    """Return the table of one data set: one row per family, change and cluster."""
    train, test = cells_of(name, DATA[name])
    cells, truth = some_cells(test), test.obs["cell_type"].astype(str)
    parts = []
    for family in families:
        usual, spread = FAMILIES[family]
        both, accuracy, single = [], [], []
        settings = (usual, chosen(usual, spread, train))
        for model, which in zip(settings, ("before", "after"), strict=True):
            trained = clone(model).fit(train, "cell_type")
            accuracy.append(balanced_accuracy_score(truth, trained.predict(test).astype(str)))
            both.append(intervals(trained, cells, which))
            single.append(of_cells(trained, cells, which))
        found = both[0].merge(both[1], on=["cluster", "change"])
        needed = pd.concat(single, axis=1)
        for which in ("before", "after"):
            medians = {}
            for change in CHANGES:
                known = needed[change].notna().all(axis=1)
                medians[change] = needed[change].loc[known, which].median()
            found[f"cells_{which}"] = found["change"].map(medians)
        found.insert(0, "family", family)
        found["settings_before"], found["settings_after"] = map(repr, settings)
        found["accuracy_before"], found["accuracy_after"] = accuracy
        parts.append(found)
        print(summary(found).to_string(), flush=True)
    return pd.concat(parts, ignore_index=True)


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row per family and change."""
    rows = []
    for (family, change), part in found.groupby(["family", "change"], sort=False):
        own = part[part["recognised_before"] & part["recognised_after"]]
        cells = [part[f"cells_{which}"].iloc[0] for which in ("before", "after")]
        ends = [
            f"{own[f'lower_{which}'].median():g} to {own[f'upper_{which}'].median():g}" for which in ("before", "after")
        ]
        rows.append({
            "family": family, "change": change,
            "accuracy": f"{part['accuracy_before'].iloc[0]:.3f} -> {part['accuracy_after'].iloc[0]:.3f}",
            "cells": " -> ".join(f"{number:g}" for number in cells), "times": f"{cells[1] / cells[0]:.1f}",
            "clusters": " -> ".join(ends).replace("inf", "none found"),
            "recognised": f"{len(own)} of {len(part)}", "after": part["settings_after"].iloc[0],
        })  # fmt: skip
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * len(frame.columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False))])


def main() -> None:
    """Make the tables of the data sets that are named, or of all; with --page only the page of what is there."""
    named = [name for name in sys.argv[1:] if not name.startswith("--")]
    families = [name.partition("=")[2] for name in sys.argv[1:] if name.startswith("--family=")] or list(FAMILIES)
    for name in [] if "--page" in sys.argv else named or DATA:
        found, path = table(name, families), OUT / f"{name}.csv"
        if not QUICK:
            OUT.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                kept = pd.read_csv(path)
                found = pd.concat([kept[~kept["family"].isin(families)], found], ignore_index=True)
            order = found["family"].map(list(FAMILIES).index).sort_values(kind="stable").index
            found.loc[order].round(4).to_csv(path, index=False)
    if not QUICK:
        there = [data for data in DATA if (OUT / f"{data}.csv").is_file()]
        parts = [f"## {data}\n\n{markdown(summary(pd.read_csv(OUT / f'{data}.csv')))}\n" for data in there]
        (OUT / "README.md").write_text("\n".join([_TEXT, *parts]))


if __name__ == "__main__":
    main()
