"""Real cells, few enough that the five classifiers can be trained in a test."""

from __future__ import annotations

import pytest
from anndata import AnnData

from adverscarial.reproduce import Setting, setting

TYPES = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK", "Dendritic"]


@pytest.fixture(scope="session")
def few_cells(pbmc_small: AnnData) -> AnnData:
    """The cells of four types, 200 genes, log-normalised."""
    genes = [*pbmc_small.var_names[:180], "CD79A", "CD79B", "MS4A1", "LYZ", "NKG7", "GNLY", "CST3", "FCER1A"]
    kept = pbmc_small[pbmc_small.obs["cell_type"].isin(TYPES), list(dict.fromkeys(genes))]
    return kept.copy()


@pytest.fixture(scope="session")
def few(few_cells: AnnData) -> Setting:
    """The protocol on them; needs torch for scMLP."""
    pytest.importorskip("torch")
    return setting(few_cells, groupby="cell_type", name="few", quick=True)


@pytest.fixture(scope="session")
def two(few_cells: AnnData) -> Setting:
    """Two classifiers that are trained at once, on 60 genes."""
    return setting(few_cells[:, -60:].copy(), groupby="cell_type", name="two", quick=True, only=["scType", "CHETAH"])
