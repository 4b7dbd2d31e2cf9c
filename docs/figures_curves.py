"""Draw the figures of curves and sweeps: ``python docs/figures_curves.py``, on the cells that come with scanpy."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

import adverscarial as adv

IMAGES = Path(__file__).parent / "images"
WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


def figures(cells: AnnData, models: dict, groupby: str, target: str, n_genes: int = 200) -> dict[str, Axes]:
    """Return one picture of each kind, by name."""
    where = {"groupby": groupby, "target": target}
    genes = list(adv.rank_genes(cells, groupby))[:n_genes]
    path = adv.attacks.ClusterGradientDescent(1.0, 1.0, genes=genes, stop_at_switch=False)
    curves = {name: adv.curve_along(cells, model, path(cells, model, **where)) for name, model in models.items()}
    tables = {name: adv.sweep(cells, model, genes=genes, **where) for name, model in models.items()}
    swept = pd.concat([table.assign(classifier=name) for name, table in tables.items()])
    name, model = next(iter(models.items()))
    attacks = {
        "CGD 0.1": adv.attacks.ClusterGradientDescent(0.1, 0.1, genes=genes),
        "CGD 1": adv.attacks.ClusterGradientDescent(1.0, 1.0, genes=genes),
        "CGD 10": adv.attacks.ClusterGradientDescent(10.0, 10.0, genes=genes),
        "one gene, 99th percentile": adv.attacks.SingleGene("perc99"),
        "one gene, aberrant": adv.attacks.SingleGene("positive_aberrant"),
        "MaxChange, 1st percentile": adv.attacks.MaxChange("perc1", restarts=1),
        "MaxChange, 99th percentile": adv.attacks.MaxChange("perc99", restarts=1),
    }
    results = {label: attack(cells, model, **where) for label, attack in attacks.items()}
    return {
        "curve": adv.pl.curve(curves),
        "roc": adv.pl.roc(curves),
        "f1": adv.pl.f1(curves),
        "sweep": adv.pl.sweep(swept, kind="both"),
        "ratio": adv.pl.ratio(swept, kind="both"),
        "sweep_kinds": adv.pl.sweep(swept[swept["classifier"] == name]),
        "harm": adv.pl.harm(adv.evaluation.harm(cells, model, results)),
    }


def main() -> None:
    cells = adv.datasets.preprocess(adv.datasets.embedded(), target_sum=None)
    train, test = adv.datasets.split(cells, "cell_type", seed=0)
    models = {
        "scType": adv.classifiers.ScType(),
        "scRF": adv.classifiers.RandomForest(seed=0).fit(train, "cell_type"),
        "scMLP": adv.classifiers.MLP(seed=0).fit(train, "cell_type"),
    }
    IMAGES.mkdir(exist_ok=True)
    for name, ax in figures(test, models, **WHERE).items():
        ax.figure.savefig(IMAGES / f"{name}.png", dpi=200)


if __name__ == "__main__":
    main()
