"""Cells that are left out, against the same counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial.errors import DataError, ParameterError
from datasets.portal_cells import portal_cells

LIMITS = {"pbmc3k": (200, 2500, 5), "axilla10k": (0, 8000, 50), "liver10k": (0, 8000, 50), "kidney10k": (500, 9999, 20)}


def wide_cells() -> AnnData:
    """Cells on both sides of every limit of the paper, among them those that stand on it."""
    genes = [100, 199, 200, 201, 499, 500, 501, 2500, 2501, 7999, 8000, 8001]
    percent = [0, 5, 5.5, 20, 20.5, 50, 50.5]
    rows = []
    for n in genes:
        for part in percent:
            row = np.zeros(8100)
            row[1:n] = 2.0
            total = row.sum()
            row[0] = round(total * part / (100 - part))  # the one mitochondrial gene
            rows.append(row)
    names = ["MT-CO1", *(f"G{k}" for k in range(8099))]
    adata = AnnData(sp.csr_matrix(np.array(rows, dtype=np.float32)))
    adata.var_names = names
    adata.obs["cell_type"] = "T cell"
    return adata


@pytest.mark.parametrize("preset", LIMITS)
def test_presets_are_the_papers_limits(preset: str) -> None:
    cells = wide_cells()
    low, high, mito = LIMITS[preset]
    X = cells.X.toarray()
    genes, part = (X > 0).sum(axis=1), 100 * X[:, 0].astype(np.float64) / X.sum(axis=1)
    kept = (genes >= low) & (genes <= high) & (part.astype(np.float32) <= np.float32(mito))
    assert 0 < kept.sum() < len(kept)
    found = adv.datasets.quality_control(cells, preset)
    assert list(found.obs_names) == list(cells.obs_names[kept])
    np.testing.assert_array_equal(found.obs["n_genes_by_counts"], genes[kept])


def test_limits_of_ones_own_come_before_the_preset() -> None:
    cells = wide_cells()
    found = adv.datasets.quality_control(cells, "kidney10k", min_genes=2501, max_mito=100)
    assert found.obs["n_genes_by_counts"].min() == 2501
    assert found.obs["pct_counts_mt"].max() > 20
    assert found.uns["quality_control"]["cells_before"] == cells.n_obs
    assert sum(found.uns["quality_control"]["removed"].values()) == cells.n_obs - found.n_obs
    assert cells.obs.columns.tolist() == ["cell_type"]


def test_counts_in_raw_judge_cells_that_keep_their_values() -> None:
    counts = wide_cells()
    scaled = counts[:, 1:].copy()  # other genes than raw
    scaled.X = scaled.X * 0.5
    scaled.raw = counts
    found = adv.datasets.quality_control(scaled, "kidney10k", use_raw=True)
    expected = adv.datasets.quality_control(counts, "kidney10k")
    assert list(found.obs_names) == list(expected.obs_names)
    assert found.obs["pct_counts_mt"].tolist() == expected.obs["pct_counts_mt"].tolist()
    assert found.shape == (expected.n_obs, counts.n_vars - 1)
    np.testing.assert_array_equal(found.X.toarray(), scaled[found.obs_names].X.toarray())
    assert found.raw.n_vars == counts.n_vars


def test_types_and_layers() -> None:
    cells = portal_cells(normalized=False)
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X * 0
    found = adv.datasets.quality_control(cells, remove="fibroblast", max_mito=50, layer="counts")
    assert "fibroblast" not in set(found.obs["cell_type"])
    assert "cell0" not in found.obs_names
    assert found.n_obs == 60 - 12 - 15 + 3  # three fibroblasts are mostly mitochondrial, too


def test_symbols_may_stand_in_a_column() -> None:
    cells = portal_cells(normalized=False)
    kept = adv.datasets.quality_control(cells, max_mito=50).obs_names
    assert list(kept) == list(adv.datasets.quality_control(adv.datasets.gene_symbols(cells), max_mito=50).obs_names)


def test_what_cannot_be_told_is_an_error() -> None:
    cells = portal_cells(normalized=False)
    with pytest.raises(DataError, match="No cell of 60 is left"):
        adv.datasets.quality_control(cells, min_genes=1000)
    with pytest.raises(ParameterError, match="Did you mean 'kidney10k'"):
        adv.datasets.quality_control(cells, "kidney")
    cells.var = cells.var[[]]
    with pytest.raises(DataError, match="known to be mitochondrial"):
        adv.datasets.quality_control(cells, max_mito=5)
