"""Smallest value, largest value and mean of each gene, against numpy; and where a cluster takes them from."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.ranges import Ranges
from cells.forms import FORMS


def made(dtype: Any = np.float32, n_cells: int = 90) -> np.ndarray:
    """Zeros, negative values, a gene of one value that no sum gives back, and an empty one."""
    random = np.random.default_rng(0)
    X = np.round(random.normal(0, 9, (n_cells, 40)) * (random.random((n_cells, 40)) < 0.5), 2)
    X[:, 3], X[:, 4] = 0.1, 0
    return X.astype(dtype)


def data(X: Any) -> AnnData:
    n_cells, n_genes = X.shape
    obs = pd.DataFrame({"kind": np.where(np.arange(n_cells) % 3, "a", "b")}, index=[f"c{i}" for i in range(n_cells)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))


def check(found: Ranges, X: np.ndarray) -> None:
    X = X.astype(np.float64)
    np.testing.assert_array_equal(found.lowest, X.min(axis=0))
    np.testing.assert_array_equal(found.highest, X.max(axis=0))
    np.testing.assert_allclose(found.mean, X.mean(axis=0), rtol=1e-13, atol=1e-13)
    alike = X.min(axis=0) == X.max(axis=0)
    np.testing.assert_array_equal(found.mean[alike], X[0, alike])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("form", FORMS)
def test_they_are_numpys(form: str, dtype: Any) -> None:
    X = made(dtype)
    check(Ranges.of(FORMS[form](X)), X)
    check(Ranges.over(iter([X[:7], X[7:8], X[8:]])), X)


def test_entries_that_are_stored_twice_or_as_zeros() -> None:
    twice = sp.csc_array((np.array([2.0, 3.0, 0.0, -1.0]), np.array([0, 0, 1, 1]), np.array([0, 3, 4])), shape=(3, 2))
    before = twice.data.copy()
    check(Ranges.of(twice), np.array([[5.0, 0.0], [0.0, -1.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(twice.data, before)


def test_new_values_take_the_place_of_old_ones() -> None:
    X = made()
    old, genes = Ranges.of(X), np.array([5, 3])
    for new in (np.array([[1.5, -2.0]]), made()[:, [7, 8]]):
        changed = X.copy()
        changed[:, genes] = new
        check(old.replaced(genes, new), changed)
    check(old, X)
    check(old.some(np.array([9, 2])), X[:, [9, 2]])


@pytest.mark.parametrize("first", ["values", "X", "held", "ranges"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("form", FORMS)
def test_a_cluster_reads_the_same_in_whatever_order_it_is_asked(form: str, dtype: Any, first: str) -> None:
    X = made(dtype)
    cluster, own = Cluster(data(FORMS[form](X)), "kind", "b"), X[::3]
    every, run, mixed, few = np.arange(40), np.arange(2, 30), np.array([9, 3, 30, 31, 2, 8]), np.array([7, 6])
    _ = cluster.X if first == "X" else getattr(cluster, first)(every)
    for genes in (every, run, mixed, few, few[:1], every[:0]):
        values = cluster.values(genes)
        np.testing.assert_array_equal(values, own[:, genes])
        np.testing.assert_array_equal(cluster.held(genes), own[:, genes])
        if len(genes):
            check(cluster.ranges(genes), own[:, genes])
        values[:] = 1e6  # a new array: nothing else changes
    np.testing.assert_array_equal(cluster.X, own)
    np.testing.assert_array_equal(cluster.values(every), own)
    if not sp.issparse(FORMS[form](X)):
        assert cluster.values(every).flags.f_contiguous


def test_a_few_genes_do_not_make_the_cluster_read_all() -> None:
    cluster = Cluster(data(made()), "kind", "b")
    few = np.array([3, 9])
    check(cluster.ranges(few), made()[::3][:, few])
    np.testing.assert_array_equal(cluster.held(few), made()[::3][:, few])
    assert not {"_cells", "_by_gene"} & set(vars(cluster))


def test_other_values_have_other_ranges() -> None:
    cluster = Cluster(data(made()), "kind", "b")
    cluster.ranges(np.arange(40))
    changed = cluster.with_values(cluster.rows, np.array([5]), np.full((30, 1), 7.5))
    wanted = made()[::3]
    wanted[:, 5] = 7.5
    check(changed.ranges(np.arange(40)), wanted)
    np.testing.assert_array_equal(changed.held(np.arange(40)), wanted)
    check(cluster.ranges(np.arange(40)), made()[::3])


def test_values_in_a_file(tmp_path: Path) -> None:
    for form in ("dense", "csr"):
        path = tmp_path / f"{form}.h5ad"
        data(FORMS[form](made())).write_h5ad(path)
        cluster = Cluster(anndata.read_h5ad(path, backed="r"), "kind", "b")
        check(cluster.ranges(np.arange(40)), made()[::3])
        np.testing.assert_array_equal(cluster.held(np.arange(40)), made()[::3])
        cluster.adata.file.close()
