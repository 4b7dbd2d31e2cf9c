"""Draw four figures of the gallery: ``python docs/figures_gallery.py``, on the cells that come with scanpy."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure
from PIL import Image

import adverscarial as adv

IMAGES = Path(__file__).parent / "images"
TARGET = "CD14+ Monocyte"


def main() -> None:
    cells = adv.datasets.preprocess(adv.datasets.embedded(), target_sum=None)
    train, test = adv.datasets.split(cells, "cell_type", seed=0)
    forest = adv.classifiers.RandomForest(seed=0).fit(train, "cell_type")
    genes = adv.rank_genes(test, "cell_type")[:300]

    whole_path = adv.attacks.ClusterGradientDescent(1, 1, genes=genes, stop_at_switch=False)
    result = whole_path(test, forest, groupby="cell_type", target=TARGET)
    save(adv.pl.trajectory(result).figure, "trajectory")

    until_switch = adv.attacks.ClusterGradientDescent(1, 1, genes=genes)
    result = until_switch(test, forest, groupby="cell_type", target=TARGET)
    save(adv.pl.heatmap(test, result, genes=genes[:100], max_cells=60)[0].figure, "heatmap")
    save(adv.pl.umap(test, result)[0].figure, "umap")

    attacks = [adv.attacks.SingleGene(name) for name in ("perc1", "perc99", "decile+5", "positive_aberrant")]
    survey = adv.survey(test, [forest, adv.classifiers.ScType()], attacks=attacks, groupby="cell_type")
    save(adv.pl.impact(survey).figure, "impact")


def save(figure: Figure, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.png"
    figure.savefig(path, dpi=200)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
