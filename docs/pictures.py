"""Draw the pictures of the README: ``python docs/pictures.py``, on the cells that come with scanpy."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import adverscarial as adv

IMAGES = Path(__file__).parent / "images"
MODIFICATIONS = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")


def main() -> None:
    cells = adv.datasets.preprocess(adv.datasets.embedded(), target_sum=None)
    train, test = adv.datasets.split(cells, "cell_type", seed=0)
    models = [adv.classifiers.RandomForest(seed=0).fit(train, "cell_type"), adv.classifiers.ScType()]
    attacks = [adv.attacks.SingleGene(name) for name in MODIFICATIONS]
    survey = adv.survey(test, models, attacks=attacks, groupby="cell_type")
    ax = adv.pl.vulnerability(survey)
    IMAGES.mkdir(exist_ok=True)
    ax.figure.savefig(IMAGES / "vulnerability.png", dpi=200, bbox_inches="tight")


if __name__ == "__main__":
    main()
