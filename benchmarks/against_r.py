"""Our calls beside what the R package took for the same calls on the same data, elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd

import adverscarial as adv
from common import QUICK, clock, data_folder, median_seconds, save, show

TARGET = "NK"

#: wall seconds of adverSCarial 1.3.13, R 4.2.2, one core of a 2-core AMD EPYC virtual machine; 2,700 cells x 13,714
#: genes, log-normalised, dense, 144 cells attacked. (*: other work ran beside it; these are seconds of its processor.)
R_SECONDS = {
    "modify perc99, 1 gene": 0.02,
    "modify perc99, 1,000 genes": 0.56,
    "modify perc99, all genes": 5.53,
    "modify decile+5, 1 gene": 0.02,
    "modify decile+5, 1,000 genes": 3.34,
    "modify decile+5, all genes": 51.7,
    "SingleGene perc99, 100 bins": 7.13,
    "SingleGene decile+5, 100 bins": 45.2,
    "MaxChange perc99, groups of 1,000": 65.9,
    "MaxChange perc99, groups of 100": 264.0,  # *
    "CGD, 50 genes, 500 trees": 319.0,
    "rank genes, 1,000 genes, 6 pairs": 13.1,
    "forest, training": 358.0,  # *
}


def cells() -> anndata.AnnData:
    """Return all 2,700 cells, log-normalised and dense."""
    data_folder()
    data = adv.datasets.preprocess(adv.datasets.pbmc3k(), scale=False)
    data.X = data.X.toarray()
    return data


def by_cluster(data: anndata.AnnData) -> Callable[..., tuple[str, float]]:
    """Return the cheap classifier of the R timings: ten markers a type, the largest mean over the target's cells."""
    markers = adv.classifiers.Markers().fit(data, "cell_type").markers
    known = {name: list(sets.positive) for name, sets in markers.items()}

    def cheap(expression: pd.DataFrame, clusters: np.ndarray, target: str) -> tuple[str, float]:
        inside = expression[np.asarray(clusters) == target]
        means = {name: float(inside[genes].to_numpy().mean()) for name, genes in known.items()}
        best = max(means, key=means.__getitem__)
        return best, means[best] / sum(means.values())

    return cheap


def main() -> None:
    data = cells()
    assert (data.obs["cell_type"] == TARGET).sum() == 144
    names, at = list(data.var_names), {"groupby": "cell_type", "target": TARGET}
    rng = np.random.default_rng(0)
    chosen = {"1 gene": names[:1], "1,000 genes": list(rng.choice(names, 1000, replace=False)), "all genes": names}
    calls: dict[str, Callable[[], object]] = {
        f"modify {way}, {many}": lambda way=way, genes=genes: adv.modify(data, genes, way, **at)
        for way in ("perc99", "decile+5")
        for many, genes in chosen.items()
    }
    markers = adv.classifiers.Markers().fit(data, "cell_type")
    function = by_cluster(data)
    for way in ("perc99", "decile+5"):
        calls[f"SingleGene {way}, 100 bins"] = lambda way=way: adv.attacks.SingleGene(way, search="bisect")(
            data, markers, **at
        )
        calls[f"SingleGene {way}, every gene"] = lambda way=way: adv.attacks.SingleGene(way)(data, markers, **at)
    calls["SingleGene perc99, 100 bins, R's form of a classifier"] = lambda: adv.attacks.SingleGene(
        "perc99", search="bisect"
    )(data, function, **at)
    for size in (1000, 100, 1):
        name = f"MaxChange perc99, groups of {size:,}"
        calls[name] = lambda size=size: adv.attacks.MaxChange("perc99", max_split_size=size, restarts=1)(
            data, markers, **at
        )
    start = clock()
    forest = adv.classifiers.RandomForest(500, seed=0).fit(data, "cell_type")
    training = clock() - start
    best = np.argsort(-np.bincount(forest.trees.feature[forest.trees.feature >= 0], minlength=len(names)))[:50]
    descent = adv.attacks.ClusterGradientDescent(genes=[names[g] for g in best], stop_at_switch=False)
    calls["CGD, 50 genes, 500 trees"] = lambda: descent(data, forest, **at)
    largest = data.obs["cell_type"].value_counts().index[:4]
    part = data[data.obs["cell_type"].isin(largest), chosen["1,000 genes"]].copy()
    calls["rank genes, 1,000 genes, 6 pairs"] = lambda: adv.rank_genes(part, "cell_type")
    rows = []
    for name, call in calls.items():
        result: list[object] = []
        repeats = 1 if QUICK or "form" in name else 3
        seconds = median_seconds(lambda call=call, result=result: result.append(call()), repeats)
        rows.append(row(name, seconds, result[-1]))
        result.clear()
        print(rows[-1], flush=True)
    rows.append(row("forest, training", training))
    print(show(rows))
    save("against_r", rows)


def row(name: str, seconds: float, result: object = None) -> dict[str, object]:
    """Return one row of the table."""
    base = R_SECONDS.get(name.removesuffix(", R's form of a classifier"))
    ratio = "" if base is None else base / seconds
    return {
        "call": name,
        "questions here": f"{result.queries:,}" if isinstance(result, adv.attacks.Result) else "",
        "R, s": "" if base is None else base,
        "ours, s": f"{seconds:.4f}" if seconds < 0.1 else f"{seconds:.2f}",
        "ratio, roughly": "" if base is None else f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}",
    }


if __name__ == "__main__":
    main()
