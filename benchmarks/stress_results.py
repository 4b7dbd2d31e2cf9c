"""Which change breaks which classifier first, on four data sets; and how far a simulated response is from the real one.

python benchmarks/stress_results.py [NAME ...]    prints the tables, fills those of docs/results/stress.md, and
writes every critical strength to docs/results/stress/NAME.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

import adverscarial as adv
from common import QUICK, data_folder, show

PAGE = Path(__file__).parents[1] / "docs" / "results" / "stress.md"
SHARES = [0.2, 0.4, 0.6, 0.8, 0.95]
STRENGTHS = {
    **dict.fromkeys(("depth", "dropout", "ambient", "doublets", "missing-genes", "swapping"), SHARES),
    "dissociation": [1.0, 2.0, 3.0, 4.0, 6.0],
    "batch-shift": [0.5, 1.0, 1.5, 2.0],
}
DATA = {"pbmc3k": None, "pbmc_ifnb": "condition", "skin_joost": None, "breast_tumour_immune_lognorm": None}
DRAWS, FEWEST = (1 if QUICK else 3), 20
#: what each classifier reads of z-scored data, where it is not X
LAYERS = {"CHETAH": "counts", "scAnnotatR": "lognorm"}
BLOOD = ("pbmc3k", "pbmc_ifnb")  # whose types the marker table of scType knows


def cells_of(name: str, *, scale: bool = False) -> anndata.AnnData:
    """Return log-normalised cells of a data set, or z-scored ones, without those that have no type."""
    cells = adv.datasets.load(data_folder() / f"{name}.h5ad")
    cells = cells[cells.obs["cell_type"] != "UNDETERMINED"].copy()
    return cells if name == "breast_tumour_immune_lognorm" else adv.datasets.preprocess(cells, scale=scale)


def trained(train: anndata.AnnData) -> dict[str, adv.classifiers.Classifier]:
    """Return two of the paper's classifiers, on log-normalised values."""
    return {
        "scRF": adv.classifiers.RandomForest(n_estimators=100, seed=0).fit(train, "cell_type"),
        "scMLP": adv.classifiers.MLP(seed=0).fit(train, "cell_type"),
    }


def five(train: anndata.AnnData, name: str) -> dict[str, adv.classifiers.Classifier]:
    """Return the paper's classifiers as the paper trains them, on z-scored data; scType for blood only."""
    table = data_folder() / "sctype_db.tsv"
    own = {"scType": adv.classifiers.ScType(table, tissue="Immune system")} if name in BLOOD else {}
    markers = adv.classifiers.ScAnnotatR(keep_ambiguous=True)
    return own | {
        "CHETAH": adv.classifiers.Chetah().fit(train, "cell_type", layer="counts"),
        "scAnnotatR": markers.fit(train, "cell_type", layer="lognorm", markers_layer="X"),
        "scRF": adv.classifiers.RandomForest(seed=0).fit(train, "cell_type"),
        "scMLP": adv.classifiers.MLP(seed=0).fit(train, "cell_type"),
    }


def first_broken(found: adv.StressResult) -> list[dict[str, object]]:
    """Return one row per classifier and change: clusters that lose half of their cells, and the first."""
    critical = found.critical()
    sizes = found.to_frame().drop_duplicates(["change", "classifier", "cluster"])
    large = sizes[sizes["n_cells"] >= FEWEST][["change", "classifier", "cluster"]]
    critical = critical.merge(large)
    rows = []
    for (classifier, change), part in critical.groupby(["classifier", "change"], sort=False):
        order = part.sort_values("cells", kind="stable")
        first = order.iloc[0]
        held = np.isinf(first["cells"])
        high = "" if np.isinf(first["cells_high"]) else f"{first['cells_high']:.2f}"
        median = np.sort(part["cells"].to_numpy())[(len(part) - 1) // 2]
        rows.append({
            "classifier": classifier, "change": change, "unit": first["unit"],
            "clusters that lose half of their cells": f"{int(np.isfinite(part['cells']).sum())} of {len(part)}",
            "median over clusters": "held" if np.isinf(median) else f"{median:.2f}",
            "first": "" if held else first["cluster"],
            "at": "" if held else f"{first['cells']:.2f} ({first['cells_low']:.2f} to {high or 'never'})",
            "clusters called another": f"{int((part['label_lost'] > 0.5).sum())}",
        })  # fmt: skip
    return rows


def interferon() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Compare control cells that were moved as measured with cells that were stimulated."""
    cells = cells_of("pbmc_ifnb")
    control = cells[cells.obs["condition"] == "CTRL"].copy()
    train, rest = adv.datasets.split(control, "cell_type", seed=0)
    models = trained(train)
    real = cells[cells.obs["condition"] == "STIM"].copy()
    both = anndata.concat([rest, real])
    shift = adv.stresses.BatchShift("CTRL", "STIM")
    found = adv.stress(
        both, models, groupby="cell_type", batch="condition", changes=shift, strengths=[1.0], draws=5, progress=False
    )
    table, truth, rows = found.to_frame(), real.obs["cell_type"].astype(str), []
    for name, model in models.items():
        right = (model.predict(real).astype(str) == truth).groupby(truth.to_numpy()).mean()
        own = table[table["classifier"] == name]
        for cluster, part in own.groupby("cluster"):
            before, after = (part[part["strength"] == s].iloc[0] for s in (0.0, 1.0))
            if before["n_cells"] < FEWEST or (truth == cluster).sum() < FEWEST:
                continue
            rows.append({
                "classifier": name, "cluster": cluster, "control": f"{before['accuracy']:.2f}",
                "simulated": f"{after['accuracy']:.2f}",
                "95%": f"{after['accuracy_low']:.2f} to {after['accuracy_high']:.2f}",
                "stimulated": f"{right[cluster]:.2f}", "cells": f"{before['n_cells']}, {(truth == cluster).sum()}",
            })  # fmt: skip
    return rows, spreads(both, shift)


def spreads(cells: anndata.AnnData, shift: adv.stresses.BatchShift) -> list[dict[str, object]]:
    """Return how much single cells differ in their response, simulated and real: 20 genes that rise most."""
    counts = adv.stresses.CountCells(
        sp.csr_array(cells.layers["counts"], dtype=np.int64), pd.Index(cells.var_names),
        cells.obs["cell_type"].astype(str).to_numpy(dtype=object),
        cells.obs["condition"].astype(str).to_numpy(dtype=object),
    )  # fmt: skip
    rows = []
    for cluster in ("CD14 Mono", "CD4 Naive T", "B"):
        own = np.flatnonzero(counts.clusters == cluster)
        start, end = (own[counts.batches[own] == level] for level in ("CTRL", "STIM"))
        moved = shift.apply(counts, start, 1.0, np.random.default_rng(0))
        parts = {"simulated": moved.toarray(), "real": counts.counts[end].toarray()}
        rise = (
            parts["real"].sum(axis=0) / parts["real"].sum()
            - counts.counts[start].sum(axis=0) / counts.counts[start].sum()
        )
        genes = np.argsort(-np.asarray(rise).ravel())[:20]
        row: dict[str, object] = {"cluster": cluster}
        for name, part in parts.items():
            share = part[:, genes].sum(axis=1) / part.sum(axis=1)
            pairs = np.corrcoef(np.log1p(part[:, genes] / part.sum(axis=1, keepdims=True) * 1e4).T)
            row[f"share of counts, {name}"] = f"{share.mean():.3f}"
            row[f"its spread over cells, {name}"] = f"{share.std():.3f}"
            row[f"mean correlation of the genes, {name}"] = f"{np.nanmean(pairs[np.triu_indices(20, 1)]):.2f}"
        rows.append(row)
    return rows


def small_changes() -> list[dict[str, object]]:
    """Return how many labels changes of a fifth at most take, of all clusters and of all data sets that are stored."""
    rows: dict[str, dict[str, object]] = {}
    for name in DATA:
        file = PAGE.parent / "stress" / f"{name}.csv"
        if not file.is_file():
            continue
        table = pd.read_csv(file)
        table = table[table["change"].map(STRENGTHS).map(lambda values: values is SHARES)]
        for classifier, part in table.groupby("classifier", sort=False):
            row = rows.setdefault(str(classifier), {"classifier": classifier})
            row[name] = f"{int((part['label'] <= SHARES[0]).sum())} of {len(part)}"
    there = [name for name in DATA if any(name in row for row in rows.values())]
    return [{"classifier": key, **{name: row.get(name, "") for name in there}} for key, row in rows.items()]


def fill(name: str, text: str) -> None:
    """Print a text, and put it into the page where that has markers for it."""
    page, start, end = PAGE.read_text(), f"<!-- {name} -->", f"<!-- /{name} -->"
    if start in page and not QUICK:
        before, rest = page.split(start)
        PAGE.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}")
    print(text, flush=True)


def main() -> None:
    """Do all, or only the data sets that are named; "interferon" is the comparison, "small" only counts."""
    named = [word for word in sys.argv[1:] if not word.startswith("-")] or ["interferon", *DATA]
    if "interferon" in named:
        rows, spread = interferon()
        fill("interferon", show(rows))
        fill("spread", show(spread))
    for name, batch in DATA.items():
        if name not in named:
            continue
        train, test = adv.datasets.split(cells_of(name, scale=True), "cell_type", seed=0)
        # of data without layers of counts, the values that are log-normalised are all there is
        models = five(train, name) if "counts" in train.layers else trained(train)
        layers = {key: layer for key, layer in LAYERS.items() if key in models}
        try:
            found = adv.stress(
                test, models, groupby="cell_type", batch=batch, draws=DRAWS, layer=layers, progress=False,
                changes=[change for change in STRENGTHS if batch or change != "batch-shift"],
                strengths={key: values for key, values in STRENGTHS.items() if batch or key != "batch-shift"},
            )  # fmt: skip
        except adv.errors.DataError as refusal:
            fill(name, f"Refused: {refusal}")
            continue
        for message in dict.fromkeys(found.errors.values()):
            print(f"{name}: {message}")
        fill(name, show(first_broken(found)))
        if not QUICK:
            (PAGE.parent / "stress").mkdir(exist_ok=True)
            found.critical().to_csv(PAGE.parent / "stress" / f"{name}.csv", index=False, float_format="%.4g")
    fill("small", show(small_changes()))


if __name__ == "__main__":
    main()
