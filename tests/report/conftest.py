"""A survey with every kind of attack, on two clusters of made-up cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv

A = adv.attacks
GENES = ["=SUM(1)", *(f"g{i}" for i in range(1, 12))]


def left_and_right(genes: list[str]) -> AnnData:
    """Two clusters of 20 cells; the first gene is high in ``left``, the second in ``right``."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 0.4, (40, 12))
    X[:20, 0] += 1
    X[20:, 1] += 1
    obs = pd.DataFrame({"group": ["left"] * 20 + ["right"] * 20}, index=[f"c{i}" for i in range(40)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=genes))


@pytest.fixture(scope="package")
def cells() -> AnnData:
    """Cells whose first gene has a name that a spreadsheet would compute."""
    return left_and_right(GENES)


@pytest.fixture(scope="package")
def models() -> dict[str, object]:
    """A classifier of two genes that can be flipped, and one that cannot."""

    def scores(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 0], X[:, 1], np.full(len(X), 0.3)], axis=1)

    def firm(X: np.ndarray) -> np.ndarray:
        return np.tile([0.9, 0.1, 0.0], (len(X), 1))

    classes = ["A", "B", "unknown"]
    return {"soft": adv.classifiers.wrap(scores, classes=classes), "firm": adv.classifiers.wrap(firm, classes=classes)}


@pytest.fixture(scope="package")
def everything(cells, models) -> adv.Survey:
    attacks = [
        *(A.SingleGene(name, search="exact") for name in ("perc1", "perc99", "fixed:9")),
        A.MaxChange("perc1", restarts=1),
        A.ClusterGradientDescent(alpha=0.5, genes=GENES),
        A.Grid(genes=GENES[:2]),
        A.RandomWalk(genes=GENES[:4], tries=20, steps=20),
    ]
    return adv.survey(cells, models, attacks=attacks, groupby="group")


@pytest.fixture
def toy() -> AnnData:
    """Cells of a test's own."""
    return left_and_right([f"g{i}" for i in range(12)])
