"""The largest and smallest values of each gene, against numpy's sort."""

import numpy as np
import pytest
import scipy.sparse as sp

from adverscarial.cells.extremes import at_an_end, at_an_end_of_sparse
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("cells", "genes"), [(1, 1), (9, 3), (128, 8), (129, 513), (400, 1030), (700, 7)])
@pytest.mark.parametrize("ties", [False, True])
def test_values_near_an_end_are_those_of_sorted_cells(dtype: type, cells: int, genes: int, ties: bool) -> None:
    X = RNG.normal(size=(cells, genes))
    X = (np.round(X) if ties else X).astype(dtype)
    ordered = np.sort(X, axis=0).astype(np.float64)
    for rank in {0, min(5, cells - 1), min(30, cells - 1), max(0, cells - 32), max(0, cells - 14), cells - 1}:
        found = at_an_end(X, (rank, min(rank + 1, cells - 1)))
        assert found is not None
        np.testing.assert_array_equal(found[0], ordered[rank])
        np.testing.assert_array_equal(found[1], ordered[min(rank + 1, cells - 1)])


def test_cells_in_rising_and_falling_order() -> None:
    for X in (np.arange(600.0)[:, None] * [1, -1], np.zeros((600, 2))):
        found = at_an_end(X, (590,))
        assert found is not None
        np.testing.assert_array_equal(found[0], np.sort(X, axis=0)[590])


def test_what_it_is_not_made_for() -> None:
    X = RNG.normal(size=(200, 4))
    assert at_an_end(X, (100,)) is None
    assert at_an_end(np.asfortranarray(X), (0,)) is None
    assert at_an_end(X.astype(np.int64), (0,)) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("cells", "genes"), [(1, 1), (9, 3), (129, 40), (700, 7)])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_values_of_a_sparse_matrix_are_those_of_sorted_cells(
    share: float, cells: int, genes: int, wide: bool, dtype: type
) -> None:
    """Negative ones, zeros that are stored, and genes with fewer values than are kept."""
    X = np.round(RNG.normal(0, 3, size=(cells, genes)) * (RNG.random((cells, genes)) < share), 1).astype(dtype)
    held = sp.csr_array(X)
    if held.nnz:
        X[tuple(part[0] for part in held.nonzero())] = 0
        held.data[0] = 0
    if wide:
        held.indices, held.indptr = held.indices.astype(np.int64), held.indptr.astype(np.int64)
    ordered = np.sort(X, axis=0).astype(np.float64)
    for rank in {0, min(5, cells - 1), max(0, cells - 32), max(0, cells - 14), cells - 1}:
        found = at_an_end_of_sparse(held, (rank, min(rank + 1, cells - 1)))
        assert found is not None
        np.testing.assert_array_equal(found[0], ordered[rank])
        np.testing.assert_array_equal(found[1], ordered[min(rank + 1, cells - 1)])


def test_sparse_matrices_that_are_read_otherwise() -> None:
    X = np.round(RNG.normal(size=(200, 4)), 1)
    twice = sp.csr_array((np.ones(4), np.array([0, 0, 1, 1]), np.array([0, 4])), shape=(1, 4))
    assert at_an_end_of_sparse(sp.csr_array(X), (100,)) is None
    assert at_an_end_of_sparse(sp.csc_array(X), (0,)) is None
    assert at_an_end_of_sparse(sp.csr_array(X.astype(np.int64)), (0,)) is None
    assert at_an_end_of_sparse(twice, (0,)) is None
    for form in (sp.csr_array, sp.csc_array):
        for kind in (np.float64, np.int64):
            got = GeneStatistics(form((10 * X).astype(kind))).quantile(np.arange(4), 0.99)
            np.testing.assert_array_equal(got, np.quantile((10 * X).astype(kind), 0.99, axis=0))
    assert GeneStatistics(twice).quantile(np.arange(4), 1.0).tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sparse_matrix_with_a_value_that_is_no_number_is_refused(bad: float) -> None:
    X = sp.csr_array(RNG.normal(size=(300, 40)))
    X.data[7] = bad
    with pytest.raises(DataError, match="NaN"):
        GeneStatistics(X).quantile(np.arange(40), 0.99)


def test_a_sparse_matrix_is_not_turned_for_one_quantile() -> None:
    X = sp.csr_array(RNG.normal(size=(300, 40)) * (RNG.random((300, 40)) < 0.2))
    statistics = GeneStatistics(X)
    for q in (0.99, 0.01):
        np.testing.assert_array_equal(statistics.quantile(np.arange(40), q), np.quantile(X.toarray(), q, axis=0))
    assert not statistics.matrix.turned
    statistics.shifted(np.arange(40), X.toarray()[:2], 3)
    assert statistics.matrix.turned
    np.testing.assert_array_equal(statistics.quantile(np.arange(40), 1.0), X.toarray().max(axis=0))
