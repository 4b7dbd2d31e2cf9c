"""Halves of the embedded cells, and a simple classifier of the first."""

from __future__ import annotations

import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.classifiers import Classifier, Markers


@pytest.fixture(scope="session")
def halves(pbmc_small: AnnData) -> tuple[AnnData, AnnData]:
    return adv.datasets.split(pbmc_small, "cell_type", seed=0)


@pytest.fixture(scope="session")
def markers(halves) -> Classifier:
    return Markers(n_markers=5).fit(halves[0], "cell_type")
