"""The cluster under attack."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells import matrix
from adverscarial.cells.cluster import Cluster, cluster_labels, cluster_names
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError, ParameterError


def example() -> AnnData:
    X = np.arange(24.0).reshape(6, 4)
    obs = pd.DataFrame({"kind": ["b", "a", "b", "c", "a", "b"]}, index=[f"cell{i}" for i in (5, 2, 3, 0, 1, 4)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=["g1", "g2", "g3", "g4"]))


def test_what_a_cluster_holds() -> None:
    adata = example()
    cluster = Cluster(adata, "kind", "b")
    assert cluster.rows.tolist() == [0, 2, 5]
    assert cluster.n_cells == 3
    assert list(cluster.cells) == ["cell5", "cell3", "cell4"]
    assert list(cluster.genes) == ["g1", "g2", "g3", "g4"]
    assert cluster.names == ["a", "b", "c"]
    np.testing.assert_array_equal(cluster.X, adata.X[[0, 2, 5]])
    assert cluster.statistics.n_cells == 6


def test_a_layer_and_sparse_values() -> None:
    adata = example()
    adata.layers["half"] = sp.csc_matrix(adata.X / 2)
    np.testing.assert_array_equal(Cluster(adata, "kind", "c", layer="half").X, adata.X[[3]] / 2)


@pytest.mark.parametrize("form", [np.array, sp.csr_matrix, sp.csc_array])
def test_values_of_some_genes(form: type) -> None:
    adata = example()
    expected = adata.X[[0, 2, 5]][:, [3, 0]]
    adata.X = form(adata.X)
    cluster = Cluster(adata, "kind", "b")
    got = cluster.values(np.array([3, 0]))
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == cluster.dtype == cluster.X.dtype
    assert got.flags.f_contiguous  # as the cells of a prediction lie in memory
    got[:] = -1  # a new array: the cluster is not touched
    np.testing.assert_array_equal(cluster.X[:, [3, 0]], expected)


def test_float32_stays_and_integers_become_float64() -> None:
    adata = example()
    adata.X = adata.X.astype(np.float32)
    assert Cluster(adata, "kind", "b").X.dtype == np.float32
    adata.X = adata.X.astype(np.int64)
    assert Cluster(adata, "kind", "b").X.dtype == np.float64


def test_genes_are_found_by_name_and_strangers_named() -> None:
    cluster = Cluster(example(), "kind", "b")
    assert cluster.positions(["g3", "g1"]).tolist() == [2, 0]
    assert cluster.positions("g4").tolist() == [3]
    assert cluster.positions([]).tolist() == []
    absent = r"2 of 3 genes are not in the data: 'G2', 'x'\. Did you mean 'g2'\? Gene names are case-s"
    with pytest.raises(DataError, match=absent):
        cluster.positions(["g1", "G2", "x"])
    with pytest.raises(DataError, match="Genes are named more than once: 'g1'"):
        cluster.positions(["g1", "g2", "g1"])


def test_labels_of_every_kind() -> None:
    adata = example()
    for values in ([1, 2, 1, 3, 2, 1], pd.Categorical([1, 2, 1, 3, 2, 1]), ["1", "2", "1", "3", "2", "1"]):
        adata.obs["kind"] = values
        assert cluster_labels(adata, "kind").tolist() == ["1", "2", "1", "3", "2", "1"]
        assert Cluster(adata, "kind", "2").rows.tolist() == [1, 4]
    assert Cluster(adata, "kind", 2).rows.tolist() == [1, 4]  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_cells_without_a_label_belong_to_no_cluster(missing: object) -> None:
    adata = example()
    adata.obs["kind"] = pd.Series(["b", "a", missing, "c", "a", "b"], index=adata.obs_names, dtype=object)
    labels = cluster_labels(adata, "kind")
    assert labels.tolist() == ["b", "a", None, "c", "a", "b"]
    assert cluster_names(labels) == ["a", "b", "c"]
    assert Cluster(adata, "kind", "b").rows.tolist() == [0, 5]
    with pytest.raises(DataError, match="There is no cluster 'nan'"):
        Cluster(adata, "kind", "nan")


def test_reading_labels_does_not_change_them() -> None:
    adata = example()
    adata.obs["kind"] = adata.obs["kind"].astype(object)
    before = adata.obs["kind"].copy()
    cluster_labels(adata, "kind")[0] = "changed"
    assert adata.obs["kind"].equals(before)


def test_draws_follow_the_cell_and_the_seed() -> None:
    adata = example()
    cluster = Cluster(adata, "kind", "b", seed=4)
    draws = dict(zip(cluster.cells, cluster.uniform(1), strict=True))
    assert all(0 <= draw < 1 for draw in draws.values())
    assert len(set(draws.values())) == 3
    np.testing.assert_array_equal(cluster.uniform(1), list(draws.values()))
    assert not np.array_equal(cluster.uniform(0), cluster.uniform(1))
    turned = Cluster(adata[::-1, ::-1].copy(), "kind", "b", seed=4)
    assert dict(zip(turned.cells, turned.uniform(2), strict=True)) == draws
    assert not np.array_equal(Cluster(adata, "kind", "b", seed=5).uniform(1), cluster.uniform(1))


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_impossible_seeds_are_refused(seed: object) -> None:
    with pytest.raises(ParameterError, match="seed must be a whole number and not negative, got"):
        Cluster(example(), "kind", "b", seed=seed)  # type: ignore[arg-type]


def test_seeds_may_be_numpy_numbers() -> None:
    assert np.array_equal(
        Cluster(example(), "kind", "b", seed=np.int64(3)).uniform(0),  # type: ignore[arg-type]
        Cluster(example(), "kind", "b", seed=3).uniform(0),
    )


def test_shared_statistics_are_used_and_checked() -> None:
    adata = example()
    statistics = GeneStatistics(CellMatrix(adata.X))
    assert Cluster(adata, "kind", "b", statistics=statistics).statistics is statistics
    spoilt = adata.X.copy()
    spoilt[3, 3] = np.inf  # outside the cluster
    with pytest.raises(DataError, match="1 NaN or infinite"):
        Cluster(adata, "kind", "b", statistics=GeneStatistics(spoilt))


def large(form: type) -> AnnData:
    """More values than are looked through each time."""
    X = np.random.default_rng(0).random((600, 500))
    obs = pd.DataFrame({"kind": ["a", "b"] * 300}, index=[f"cell{i}" for i in range(600)])
    return AnnData(form(X), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(500)]))


def at_gene(adata: AnnData, cell: int, gene: int, value: float) -> None:
    """Write into the very array that the data have."""
    if sp.issparse(adata.X):
        adata.X.data[adata.X.indptr[cell] + gene if adata.X.format == "csr" else adata.X.indptr[gene] + cell] = value
    else:
        adata.X[cell, gene] = value


@pytest.mark.parametrize("form", [np.array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_since_is_found_where_it_is_read(form: type, bad: float) -> None:
    adata = large(form)
    Cluster(adata, "kind", "b")  # all of it was looked through
    at_gene(adata, 3, 7, bad)  # in the cluster
    at_gene(adata, 4, 8, bad)  # elsewhere
    for genes in (np.array([7]), np.arange(5, 100), np.arange(500)):
        with pytest.raises(DataError, match="NaN"):
            Cluster(adata, "kind", "b").values(genes)
        for q in (0.01, 0.5, 0.99):
            with pytest.raises(DataError, match="NaN"):
                Cluster(adata, "kind", "b").statistics.quantile(genes + (len(genes) == 1), q)
    with pytest.raises(DataError, match="NaN"):
        _ = Cluster(adata, "kind", "b").X
    with pytest.raises(DataError, match="NaN"):
        Cluster(adata, "kind", "b").statistics.shifted(np.array([8]), np.array([[1.0]]), 3)
    at_gene(adata, 3, 7, 0.5)  # of sparse values, all those of the cluster are read
    other = np.array([0, 9, 499])
    np.testing.assert_array_equal(Cluster(adata, "kind", "b").values(other), dense(adata)[1::2][:, other])
    wanted = np.quantile(dense(adata)[:, other], 0.99, axis=0)
    np.testing.assert_array_equal(Cluster(adata, "kind", "b").statistics.quantile(other, 0.99), wanted)


@pytest.mark.parametrize("form", [np.array, sp.csr_matrix])
def test_another_content_of_the_same_array_is_looked_through_again(form: type) -> None:
    adata = large(form)
    Cluster(adata, "kind", "b")
    values = adata.X.data if sp.issparse(adata.X) else adata.X
    values *= 2
    at_gene(adata, 4, 8, np.nan)
    with pytest.raises(DataError, match="1 NaN or infinite"):
        Cluster(adata, "kind", "b")


def test_the_same_array_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    adata = large(np.array)
    looked: list[int] = []
    refuse = matrix._refuse_not_finite
    monkeypatch.setattr(matrix, "_refuse_not_finite", lambda *given: looked.append(given[0].size) or refuse(*given))
    Cluster(adata, "kind", "b").values(np.array([1, 2]))
    assert looked == [adata.X.size]
    Cluster(adata, "kind", "b").values(np.array([1, 2]))
    assert looked == [adata.X.size, 600]  # two genes of 300 cells


def dense(adata: AnnData) -> np.ndarray:
    return adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)


@pytest.mark.parametrize("names", [["b", "a", None, "b"], [2, 1, None, 2]])
def test_categories_are_named_as_other_columns_are(names: list[object]) -> None:
    obs = pd.DataFrame({"plain": pd.Series(names, dtype=object)})
    obs["kind"] = obs["plain"].astype("category").cat.add_categories(["unused"])
    adata = AnnData(np.zeros((4, 1)), obs=obs)
    assert cluster_labels(adata, "kind").tolist() == cluster_labels(adata, "plain").tolist()
    assert cluster_names(cluster_labels(adata, "kind")) == sorted({str(name) for name in names if name is not None})
