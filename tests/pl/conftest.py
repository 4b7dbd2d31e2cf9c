"""What the tests of figures share: no window opens and none stays, and a survey in which some attacks fail."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from made_up import needing


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="package")
def survey(pbmc_small: AnnData) -> adv.Survey:
    """Four clusters under both kinds of counted attacks; one classifier fails on the smallest of them."""
    attacks = [*map(SingleGene, ("perc99", "positive_aberrant")), MaxChange("perc99", restarts=1)]
    models = {"scType": adv.classifiers.ScType(scaled=False), "half": needing(80)}
    targets = ["CD19+ B", "Dendritic", "CD14+ Monocyte", "CD4+/CD25 T Reg"]
    return adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type", targets=targets)
