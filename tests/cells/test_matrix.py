"""One way to read every container; and a copy with a few values replaced."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from adverscarial.cells.matrix import CellMatrix, copy_with, layer_of, replace
from adverscarial.errors import DataError

RNG = np.random.default_rng(3)
X = np.round(RNG.normal(size=(17, 6)) * (RNG.random((17, 6)) < 0.5), 2)
IN_MEMORY = {
    "dense": np.array,
    "fortran": np.asfortranarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
}
ON_DISK = {"backed dense": np.array, "backed csr": sp.csr_matrix, "backed csc": sp.csc_matrix}


@pytest.fixture(params=[*IN_MEMORY, *ON_DISK])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The matrix X in each form that the package reads."""
    if request.param in IN_MEMORY:
        yield IN_MEMORY[request.param](X)
        return
    AnnData(ON_DISK[request.param](X)).write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    yield backed.X
    backed.file.close()


def dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def test_rows_and_columns(container: Any) -> None:
    matrix = CellMatrix(container)
    assert matrix.shape == X.shape
    np.testing.assert_array_equal(matrix.rows(np.array([0, 3, 16])), X[[0, 3, 16]])
    np.testing.assert_array_equal(matrix.columns(np.array([5, 0, 2])), X[:, [5, 0, 2]])
    np.testing.assert_array_equal(matrix.columns(np.array([4])), X[:, [4]])
    assert matrix.rows(np.array([2])).flags.c_contiguous
    assert matrix.sparse == (not isinstance(container, np.ndarray) and "h5py" not in type(container).__module__)


def test_replace_makes_a_copy_with_the_new_values(container: Any) -> None:
    rows, columns = np.array([1, 4, 16]), np.array([5, 0])
    block = np.array([[7.0, 0.0], [8.5, -1.0], [0.0, 0.0]])
    changed = replace(container, rows, columns, block)
    expected = X.copy()
    expected[np.ix_(rows, columns)] = block
    np.testing.assert_array_equal(dense(changed), expected)
    np.testing.assert_array_equal(CellMatrix(container).rows(np.arange(17)), X)
    assert sp.issparse(changed) == CellMatrix(container).sparse
    if isinstance(container, np.ndarray) or sp.issparse(container):
        assert type(changed) is type(container)


def test_replace_all_cells_or_none_of_the_genes(container: Any) -> None:
    everything = replace(container, np.arange(17), np.arange(6), np.full((17, 6), 2.0))
    np.testing.assert_array_equal(dense(everything), np.full((17, 6), 2.0))
    nothing = replace(container, np.array([2]), np.array([], dtype=int), np.empty((1, 0)))
    np.testing.assert_array_equal(dense(nothing), X)
    assert nothing.dtype == X.dtype


@pytest.mark.slow
@given(st.integers(0, 10**6), st.sampled_from([sp.csr_matrix, sp.csr_array, sp.csc_matrix]), st.booleans())
@settings(max_examples=80)
def test_replace_in_any_sparse_matrix(seed: int, form: Any, tidy: bool) -> None:
    """Also with repeated and unordered entries; zeros that are written down stay so in all rows without new values."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    size = int(rng.integers(0, 3 * n * k))
    entries = (rng.integers(-2, 3, size).astype(float), (rng.integers(0, n, size), rng.integers(0, k, size)))
    whole = form(sp.coo_matrix(entries, shape=(n, k)))
    if tidy:
        whole.sum_duplicates()
    elif isinstance(whole, sp.csr_matrix | sp.csr_array) and whole.nnz:
        order = np.lexsort((rng.random(whole.nnz), np.repeat(np.arange(n), np.diff(whole.indptr))))
        whole = form((whole.data[order], whole.indices[order], whole.indptr), shape=(n, k))
    before = whole.copy()
    rows = rng.choice(n, rng.integers(0, n + 1), replace=False)
    columns = rng.choice(k, rng.integers(0, k + 1), replace=False)
    block = rng.integers(-1, 2, (len(rows), len(columns))).astype(float)
    changed = replace(whole, rows, columns, block)
    expected = before.toarray()
    expected[np.ix_(rows, columns)] = block
    np.testing.assert_array_equal(changed.toarray(), expected)
    assert type(changed) is type(whole)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(before, name))
    if whole.format == "csr":
        for row in np.setdiff1d(np.arange(n), rows):
            kept = slice(*whole.indptr[row : row + 2]), slice(*changed.indptr[row : row + 2])
            np.testing.assert_array_equal(whole.data[kept[0]], changed.data[kept[1]])
            np.testing.assert_array_equal(whole.indices[kept[0]], changed.indices[kept[1]])


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_few_genes_are_the_same_as_all(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many were asked for before, and with entries that are written twice."""
    twice = form(sp.coo_matrix(([1.0, 2.0, 3.0], ([0, 0, 1], [4, 4, 2])), shape=(3, 6)))
    monkeypatch.setattr("adverscarial.cells.matrix._FEW", 3)
    matrix = CellMatrix(twice)
    for genes in ([4], [2, 4], [4, 0, 4], [2], range(6)):
        np.testing.assert_array_equal(matrix.columns(np.array(genes)), twice.toarray()[:, list(genes)])
    assert twice.toarray()[0, 4] == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32, np.bool_])
def test_float32_is_read_as_it_is_and_all_else_as_float64(dtype: type) -> None:
    read_as = np.float32 if dtype is np.float32 else np.float64
    matrix = CellMatrix(np.ones((3, 2), dtype=dtype))
    assert matrix.dtype == read_as
    assert matrix.rows(np.array([0])).dtype == matrix.columns(np.array([1])).dtype == read_as


@pytest.mark.parametrize("form", ["dense", "csr", "csc_array"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_found(form: str, bad: float) -> None:
    spoilt = X.copy()
    spoilt[4, 2] = spoilt[7, 1] = bad
    CellMatrix(IN_MEMORY[form](X)).check_finite()
    with pytest.raises(DataError, match="The matrix holds 2 NaN or infinite values"):
        CellMatrix(IN_MEMORY[form](spoilt)).check_finite()


@pytest.mark.parametrize("form", ["dense", "csr", "csc_array"])
def test_check_finite_names_the_first_cell_and_gene(form: str) -> None:
    spoilt = X.copy()
    spoilt[4, 2] = spoilt[7, 1] = spoilt[4, 3] = np.nan
    adata = AnnData(IN_MEMORY[form](spoilt))
    adata.obs_names = [f"cell{i}" for i in range(adata.n_obs)]
    adata.var_names = [f"gene{i}" for i in range(adata.n_vars)]
    with pytest.raises(DataError, match="3 NaN or infinite values, the first in cell 'cell4', gene 'gene2'"):
        CellMatrix(adata.X).check_finite(adata)


def test_check_finite_is_not_fooled_by_an_overflowing_sum() -> None:
    CellMatrix(np.full((3, 2), 1e308)).check_finite()
    CellMatrix(np.full((3, 2), 3e38, dtype=np.float32)).check_finite()
    CellMatrix(np.full((3, 2), 7)).check_finite()


@pytest.mark.parametrize("form", ON_DISK)
def test_columns_of_a_file_are_checked_when_read(tmp_path: Path, form: str) -> None:
    spoilt = X.copy()
    spoilt[4, 2] = np.nan
    AnnData(ON_DISK[form](spoilt)).write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    with pytest.raises(DataError, match="1 NaN or infinite"):
        CellMatrix(backed.X).columns(np.array([2]))
    backed.file.close()


def test_a_layer_is_found_by_name_or_said_to_be_absent() -> None:
    adata = AnnData(X.copy(), layers={"counts": X * 2})
    assert layer_of(adata, None) is adata.X
    np.testing.assert_array_equal(layer_of(adata, "counts"), X * 2)
    with pytest.raises(DataError, match=r"no layer 'count'\. Did you mean 'counts'\? There are: 'counts'"):
        layer_of(adata, "count")
    with pytest.raises(DataError, match=r"no layer 'raw'\. There are none\. Leave it out to use X"):
        layer_of(AnnData(X.copy()), "raw")
    with pytest.raises(DataError, match=r"adata\.X is empty\. Choose one of its layers with layer=: 'counts'"):
        layer_of(AnnData(layers={"counts": X}), None)


@pytest.mark.parametrize("layer", [None, "counts"])
def test_a_copy_with_another_matrix_is_a_copy_otherwise(layer: str | None) -> None:
    adata = AnnData(X.copy(), layers={"counts": sp.csr_matrix(X), "half": X / 2}, uns={"made": {"by": [1]}})
    adata.raw = adata.copy()
    adata.obs["kind"], adata.var["long"] = "b", 1.0
    adata.obsm["pca"], adata.varm["loadings"] = X[:, :2].copy(), X.T[:, :2].copy()
    adata.obsp["near"], adata.varp["like"] = sp.csr_matrix(X @ X.T), X.T @ X
    new = sp.csr_matrix(X * 3)
    changed, plain = copy_with(adata, new, layer), adata.copy()
    if layer is None:
        plain.X = new
    else:
        plain.layers[layer] = new
    pd.testing.assert_frame_equal(changed.obs, plain.obs)
    pd.testing.assert_frame_equal(changed.var, plain.var)
    for name in ("obsm", "varm", "obsp", "varp", "layers"):
        ours, theirs = getattr(changed, name), getattr(plain, name)
        assert list(ours) == list(theirs)
        for key in ours:
            np.testing.assert_array_equal(dense(ours[key]), dense(theirs[key]))
    np.testing.assert_array_equal(dense(changed.X), dense(plain.X))
    np.testing.assert_array_equal(dense(changed.raw.X), X)
    assert changed.uns == plain.uns
    changed.uns["made"]["by"].append(2)
    changed.obs["kind"], changed.obsm["pca"][0, 0], changed.layers["half"][0, 0] = "c", 99.0, 99.0
    assert adata.uns["made"]["by"] == [1]
    assert adata.obs["kind"].unique().tolist() == ["b"]
    assert 99.0 not in adata.obsm["pca"]
    assert 99.0 not in adata.layers["half"]
