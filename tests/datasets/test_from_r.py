"""10x and SingleCellExperiment files that R's own tools wrote: ``from_r/write.R``, with the versions beside it.

10x folders and .h5 are those of DropletUtils' ``write10xCounts``, in the layout of Cell Ranger 2 and 3.
"""

from pathlib import Path

import numpy as np
import pytest

from adverscarial.datasets import load

FOLDER = Path(__file__).parent / "from_r"
COUNTS = np.array([[(7 * gene + 3 * cell) % 5 for gene in range(1, 7)] for cell in range(1, 5)])
SYMBOLS = ["CD3D", "CD79A", "MS4A1", "NKG7", "LYZ", "GNLY"]
IDS = [f"ENSG{gene:011d}" for gene in range(1, 7)]
CELLS = ["AAAC-1", "AAAG-1", "AAAT-1", "AACC-1"]


@pytest.mark.fast(3)
@pytest.mark.parametrize("name", ["tenx_2", "tenx_2.h5", "tenx_3", "tenx_3.h5"])
def test_10x_files_of_r_are_read(name: str) -> None:
    adata = load(FOLDER / name)
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    assert list(adata.var_names) == SYMBOLS
    assert list(adata.var["gene_ids"]) == IDS
    assert list(adata.obs_names) == CELLS


def test_single_cell_experiment() -> None:
    adata = load(FOLDER / "sce.rds")
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    np.testing.assert_array_equal(adata.layers["dense"], 2 * COUNTS)
    # R's logarithm and numpy's differ in the last bit
    np.testing.assert_allclose(adata.layers["logcounts"].toarray(), np.log1p(COUNTS), rtol=1e-15)
    assert list(adata.var_names) == IDS
    assert list(adata.var["symbol"]) == SYMBOLS  # R keeps rowData with the row ranges
    assert list(adata.var["chromosome"].astype(object).fillna("?")) == ["11", "19", "?", "11", "11", "11"]
    assert list(adata.obs_names) == CELLS
    assert list(adata.obs["cell_type"]) == ["T", "B", "T", "NK"]
    np.testing.assert_array_equal(adata.obs["size"], [1.5, 2, np.nan, 4])
    np.testing.assert_array_equal(adata.obsm["PCA"], np.arange(1, 9).reshape(2, 4).T / 2)  # with names of its rows
