"""SingleCellExperiment files that rds2py writes, laid out as R lays them out; other objects are in ``test_r.py``."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
import scipy.sparse as sp

from adverscarial.datasets import load
from adverscarial.errors import DataError

GENES = [f"ENSG{i}" for i in range(6)]
CELLS = [f"cell{i}" for i in range(4)]


def write_sce(path, assays, **kwargs):
    rds2py = pytest.importorskip("rds2py")
    experiment = pytest.importorskip("singlecellexperiment")
    frame = pytest.importorskip("biocframe").BiocFrame
    sce = experiment.SingleCellExperiment(
        assays=assays,
        row_data=frame({"symbol": list("abcdef")}),
        column_data=frame(
            {
                "cell_type": pytest.importorskip("biocutils").Factor.from_sequence(["B", "T", "B", None]),
                "patient": ["p1", None, "p2", "p2"],
                "size": np.array([1.5, 2, 3, 4]),
            }
        ),
        row_names=GENES,
        column_names=CELLS,
        **kwargs,
    )
    rds2py.write_rds(sce, str(path))


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(1, (6, 4)).astype(np.float64)


def test_single_cell_experiment(counts, tmp_path):
    pca = np.random.default_rng(1).normal(size=(4, 2))
    assays = {"logcounts": np.log1p(counts), "counts": sp.csc_matrix(counts)}
    write_sce(tmp_path / "x.rds", assays, reduced_dims={"PCA": pca})
    adata = load(tmp_path / "x.rds")
    assert isinstance(adata.X, sp.csr_matrix)
    np.testing.assert_array_equal(adata.X.toarray(), counts.T)
    np.testing.assert_array_equal(adata.layers["logcounts"], np.log1p(counts).T)
    assert list(adata.var_names) == GENES
    assert list(adata.obs_names) == CELLS
    assert list(adata.obs["cell_type"].dropna()) == ["B", "T", "B"]
    assert adata.obs["cell_type"].isna().tolist() == [False, False, False, True]
    assert list(adata.obs["cell_type"].cat.categories) == ["B", "T"]
    assert list(adata.obs["patient"].dropna()) == ["p1", "p2", "p2"]
    assert list(adata.obs["size"]) == [1.5, 2, 3, 4]
    assert list(adata.var["symbol"]) == list("abcdef")
    np.testing.assert_array_equal(adata.obsm["PCA"], pca)
    adata.write_h5ad(tmp_path / "x.h5ad")  # nothing in it that cannot be written


@pytest.mark.parametrize("compress", [bytes, bz2.compress, lzma.compress])
def test_other_compressions_are_read(counts, tmp_path, compress):
    write_sce(tmp_path / "x.rds", {"counts": counts})
    (tmp_path / "y.rds").write_bytes(compress(gzip.decompress((tmp_path / "x.rds").read_bytes())))
    np.testing.assert_array_equal(load(tmp_path / "y.rds").X, counts.T)


def test_gene_names_in_the_row_ranges_where_r_keeps_them(counts, tmp_path):
    """R leaves rowData without row names and keeps them in the row ranges."""
    rds2py = pytest.importorskip("rds2py")
    from rds2py.lib_rds_parser import write_rds

    write_sce(tmp_path / "x.rds", {"tophat_counts": counts})
    tree = rds2py.parse_rds(str(tmp_path / "x.rds"))
    slots = tree["attributes"]
    names = slots["elementMetadata"]["attributes"]["rownames"]
    assert names["data"] == GENES
    slots["elementMetadata"]["attributes"]["rownames"] = {"type": "null"}
    slots["NAMES"] = {"type": "null"}
    slots["rowRanges"]["attributes"]["partitioning"]["attributes"]["NAMES"] = names
    write_rds(tree, str(tmp_path / "as_r.rds"))
    adata = load(tmp_path / "as_r.rds")
    assert list(adata.var_names) == GENES
    np.testing.assert_array_equal(adata.X, counts.T)


def test_missing_values_of_a_factor_as_r_writes_them(counts, tmp_path):
    rds2py = pytest.importorskip("rds2py")
    from rds2py.lib_rds_parser import write_rds

    write_sce(tmp_path / "x.rds", {"counts": counts})
    tree = rds2py.parse_rds(str(tmp_path / "x.rds"))
    factor = tree["attributes"]["colData"]["attributes"]["listData"]["data"][0]
    factor["data"][:] = [2, -(2**31), 1, 2]  # R's NA_integer_
    write_rds(tree, str(tmp_path / "as_r.rds"))
    labels = load(tmp_path / "as_r.rds").obs["cell_type"]
    assert labels.isna().tolist() == [False, True, False, False]
    assert list(labels.dropna()) == ["T", "B", "T"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.7, 0.98])
def test_a_file_cut_short_is_refused(counts, tmp_path, share):
    write_sce(tmp_path / "whole.rds", {"counts": counts})
    content = (tmp_path / "whole.rds").read_bytes()
    assert content.startswith(b"\x1f\x8b")
    (tmp_path / "x.rds").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"x\.rds"):
        load(tmp_path / "x.rds")
