"""Gene statistics, against numpy and against a naive loop."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adverscarial.cells import distinct, statistics
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError
from cells.forms import FORMS

# few distinct values, so that ties, zeros and constant genes are common
TIED = st.sampled_from([0.0, 0.0, 0.0, -1.5, -1.0, 1.0, 2.0, 2.5])
ANY = st.floats(-1e6, 1e6, allow_subnormal=False)


def with_stored_zeros(X: np.ndarray) -> sp.csr_matrix:
    """CSR that stores every value, zeros too."""
    n, m = X.shape
    return sp.csr_matrix((X.ravel(), np.tile(np.arange(m), n), np.arange(n + 1) * m), shape=(n, m))


def with_duplicates(X: np.ndarray) -> sp.csc_matrix:
    """CSC that stores every value as two halves, in falling order of rows."""
    n, m = X.shape
    rows = np.tile(np.repeat(np.arange(n)[::-1], 2), m)
    return sp.csc_matrix((np.repeat(X[::-1].T.ravel(), 2) / 2, rows, np.arange(m + 1) * 2 * n), shape=(n, m))


ALL_FORMS = FORMS | {
    "stored zeros": with_stored_zeros,
    "duplicates": with_duplicates,
}


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 25), st.integers(1, 5)))
    X = draw(arrays(np.float64, shape, elements=draw(st.sampled_from([TIED, ANY]))))
    if draw(st.booleans()):
        X[:, 0] = X[0, 0]
    return X


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", ALL_FORMS)
@settings(max_examples=100, deadline=None)
@given(X=matrices(), q=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0])))
def test_quantile_is_numpys(form: str, X: np.ndarray, q: float) -> None:
    genes = np.arange(X.shape[1])[::-1]
    np.testing.assert_array_equal(
        GeneStatistics(ALL_FORMS[form](X)).quantile(genes, q), np.quantile(X, q, axis=0)[::-1]
    )


@pytest.mark.parametrize("form", ALL_FORMS)
def test_quantile_is_numpys_to_the_last_bit(form: str) -> None:
    """numpy interpolates from the nearer end; full-length fractions show which end was taken."""
    X = np.random.default_rng(2).normal(size=(38, 20))
    statistics = GeneStatistics(ALL_FORMS[form](X))
    for q in np.linspace(0, 1, 203).tolist():
        np.testing.assert_array_equal(statistics.quantile(np.arange(20), q), np.quantile(X, q, axis=0))


@settings(max_examples=50, deadline=None)
@given(X=matrices(), q=st.floats(0, 1), sparse=st.booleans())
def test_quantile_of_float32_is_computed_in_float64(X: np.ndarray, q: float, sparse: bool) -> None:
    small = X.astype(np.float32)
    got = GeneStatistics(sp.csr_matrix(small) if sparse else small).quantile(np.arange(X.shape[1]), q)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, np.quantile(small.astype(np.float64), q, axis=0))


@pytest.mark.fast(1)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_quantiles_of_many_cells_near_both_ends(dtype: Any) -> None:
    """Up to 32 values from an end are kept in one walk, the others partitioned; some genes, in any order."""
    X = np.random.default_rng(3).normal(0, 50, size=(2000, 1100)).astype(dtype)
    X[:, 7] = 0
    genes = np.random.default_rng(4).permutation(1100)[:900]
    for q in (0, 0.001, 0.01, 0.0155, 0.016, 0.5, 0.984, 0.9845, 0.99, 0.999, 1):
        expected = np.quantile(X[:, genes].astype(np.float64), q, axis=0)
        np.testing.assert_array_equal(GeneStatistics(X).quantile(genes, q), expected)


@pytest.mark.parametrize("form", ALL_FORMS)
@pytest.mark.parametrize("place", [0, 700, 1999])
def test_nan_is_refused_wherever_it_stands(form: str, place: int) -> None:
    X = np.random.default_rng(3).normal(size=(2000, 3))
    X[place, 1] = np.nan
    for q in (0, 0.01, 0.5, 0.99, 1):
        statistics = GeneStatistics(ALL_FORMS[form](X))
        others = np.array([2, 0])
        np.testing.assert_array_equal(statistics.quantile(others, q), np.quantile(X[:, others], q, axis=0))
        with pytest.raises(DataError, match="NaN"):
            statistics.quantile(np.arange(3), q)
    with pytest.raises(DataError, match="NaN"):
        GeneStatistics(ALL_FORMS[form](X)).shifted(np.arange(3), X[1:2], 5)


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", ALL_FORMS)
@settings(max_examples=60, deadline=None)
@given(X=matrices(), q=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.99, 1.0])))
def test_quantile_of_the_cells_that_express_a_gene(form: str, X: np.ndarray, q: float) -> None:
    got = GeneStatistics(ALL_FORMS[form](X)).quantile_expressing(np.arange(X.shape[1])[::-1], q)[::-1]
    for column, value in zip(X.T, got, strict=True):
        expressing = column[column > min(column.min(), 0)]
        assert value == (np.quantile(expressing, q) if len(expressing) else column[0])


@pytest.mark.slow
@pytest.mark.parametrize("form", ALL_FORMS)
@settings(max_examples=60, deadline=None)
@given(X=matrices(), q=st.floats(0, 1), data=st.data())
def test_quantile_without_some_cells(form: str, X: np.ndarray, q: float, data: st.DataObject) -> None:
    X = np.concatenate([X, X[:1]])  # so that a cell is left
    left_out = np.array(data.draw(st.lists(st.booleans(), min_size=len(X), max_size=len(X))))
    left_out[0] = False
    genes = np.arange(X.shape[1])[::-1]
    got = GeneStatistics(ALL_FORMS[form](X)).quantile_without(genes, q, X[left_out][:, genes])
    np.testing.assert_array_equal(got, np.quantile(X[~left_out][:, genes], q, axis=0))


def test_quantiles_of_some_cells_refuse_nan_and_are_kept() -> None:
    X = np.array([[0.0, np.nan], [1.0, 2.0], [3.0, 5.0]])
    statistics = GeneStatistics(X)
    for _ in range(2):  # computed, then known
        assert statistics.quantile_expressing(np.array([0]), 0.5).tolist() == [2.0]
    assert statistics.quantile(np.array([0]), 0.5).tolist() == [1.0]
    with pytest.raises(DataError, match="NaN"):
        statistics.quantile_expressing(np.arange(2), 0.5)
    with pytest.raises(DataError, match="NaN"):
        statistics.quantile_without(np.arange(2), 0.5, X[1:2])


def shifted_by_hand(column: np.ndarray, value: float, steps: int) -> float:
    """The definition, word for word: rank = values strictly below, plus one; clamped to minimum and maximum."""
    rank = 1 + sum(1 for other in column if other < value)
    ordered = sorted(column)
    if rank + steps < 1:
        return ordered[0]
    if rank + steps > len(ordered):
        return ordered[-1]
    return ordered[rank + steps - 1]


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", ALL_FORMS)
@settings(max_examples=100, deadline=None)
@given(X=matrices(), steps=st.integers(-30, 30), reference=st.booleans())
def test_shifted_is_the_naive_loop(form: str, X: np.ndarray, steps: int, reference: bool) -> None:
    genes = np.arange(X.shape[1])
    got = GeneStatistics(ALL_FORMS[form](X)).shifted(genes, X, steps, reference=reference)
    moved = steps - 1 if reference else steps
    expected = [[shifted_by_hand(X[:, k], value, moved) for k, value in enumerate(row)] for row in X.tolist()]
    np.testing.assert_array_equal(got, expected)
    if moved == 0:
        np.testing.assert_array_equal(got, X)


@pytest.mark.parametrize("form", ALL_FORMS)
def test_values_that_the_data_do_not_hold_can_be_shifted(form: str) -> None:
    X = np.array([[0.0], [0.0], [-2.0], [3.0], [5.0]])
    values = np.array([[-9.0], [-1.0], [1.0], [4.0], [9.0]])
    got = GeneStatistics(ALL_FORMS[form](X)).shifted(np.array([0]), values, 1)
    assert got.ravel().tolist() == [shifted_by_hand(X[:, 0], value, 1) for value in values.ravel()]


@pytest.mark.parametrize("form", ALL_FORMS)
def test_minima_and_maxima_are_those_of_numpy(form: str) -> None:
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(0, 2, (40, 7)) * (rng.random((40, 7)) < 0.4), 1)
    X[:, 2], X[:, 3], X[:, 4] = 0, -2.5, -np.abs(X[:, 4]) - 1
    statistics = GeneStatistics(ALL_FORMS[form](X))
    genes = np.array([4, 0, 3, 2])
    np.testing.assert_array_equal(statistics.minimum(genes), X.min(axis=0)[genes])
    np.testing.assert_array_equal(statistics.maximum(genes), X.max(axis=0)[genes])
    assert statistics.maximum_of_all() == X.max()
    assert GeneStatistics(ALL_FORMS[form](X[:, 3:5])).maximum_of_all() == X[:, 3:5].max() < 0


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_more_genes_than_fit_one_block(form: str) -> None:
    rng = np.random.default_rng(1)
    X = rng.poisson(0.5, (9, 1100)).astype(float)
    statistics = GeneStatistics(ALL_FORMS[form](X))
    genes = rng.permutation(1100)
    np.testing.assert_array_equal(statistics.quantile(genes, 0.7), np.quantile(X, 0.7, axis=0)[genes])
    some = rng.permutation(1100)[:700]
    moved = statistics.shifted(some, X[:3, some], 2)
    for k in (0, 511, 512, 699):
        assert moved[1, k] == shifted_by_hand(X[:, some[k]], X[1, some[k]], 2)


@pytest.mark.parametrize("cached", [1, 7, 60])
def test_sparse_genes_are_sorted_some_at_a_time(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes without any value, and some with more values than are sorted at a time, are among them."""
    X = np.random.default_rng(2).poisson(np.linspace(0, 2, 12), (9, 12)).astype(float)
    X[:, [0, 5, 11]] = 0
    whole = distinct.distinct_values(np.arange(13) * 9, X.T.ravel().copy(), 9)
    monkeypatch.setattr(distinct, "_CACHED", cached)
    for part, expected in zip(distinct.distinct_of_sparse(sp.csc_array(X)), whole, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.fast(4)
@pytest.mark.parametrize("form", ["csr", "csc", "duplicates", "stored zeros", "dense"])
def test_the_matrix_is_only_read(form: str) -> None:
    X = ALL_FORMS[form](np.array([[0.0, 2.0], [1.0, 0.0], [0.0, -3.0]]))
    parts = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
    before = [part.copy() for part in parts]
    for part in parts:
        part.flags.writeable = False  # as when joblib maps an array into a process
    statistics = GeneStatistics(X)
    assert statistics.quantile(np.array([0, 1]), 0.5).tolist() == [0, 0]
    assert statistics.shifted(np.array([1]), np.array([[2.0]]), -1).tolist() == [[0.0]]
    for part, kept in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, kept)


def test_data_without_cells_are_refused() -> None:
    with pytest.raises(DataError, match="The data set has no cells"):
        GeneStatistics(np.empty((0, 3)))


def test_a_matrix_at_hand_is_used_as_it_is() -> None:
    matrix = CellMatrix(np.eye(3))
    assert GeneStatistics(matrix).matrix is matrix


def test_genes_are_returned_in_the_order_asked_for() -> None:
    X = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(GeneStatistics(sp.csr_matrix(X)).columns(np.array([2, 0])), X[:, [2, 0]])


def test_few_distinct_values_of_all_genes_are_sorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Z-scores of counts take few values; those of continuous data would be held as often as the data are."""
    random, sorted_parts = np.random.default_rng(0), []
    few, many = random.integers(0, 3, (60, 40)).astype(np.float32), random.normal(size=(60, 40)).astype(np.float32)
    original = statistics.distinct_values
    monkeypatch.setattr(statistics, "distinct_values", lambda *given: sorted_parts.append(1) or original(*given))
    genes, some = np.arange(40), np.array([7, 3, 31])
    for X, again in ((few, 0), (many, 1)):
        found = GeneStatistics(X)
        whole = found.shifted(genes, X[:5], 20)
        sorted_parts.clear()
        assert found.shifted(genes, X[:5], 20).tolist() == whole.tolist()
        assert found.shifted(some, X[:5, some], 20).tolist() == whole[:, some].tolist()
        assert len(sorted_parts) == 2 * again
        fresh = GeneStatistics(X)
        assert fresh.shifted(some, X[:5, some], 20).tolist() == whole[:, some].tolist()


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_distinct_values_count_zeros_that_are_not_written_down(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "_CACHED", at_once)
    random = np.random.default_rng(0)
    genes = [random.integers(-2, 3, n).astype(np.float32) * random.choice([-1.0, 1.0]) for n in (0, 5, 3, 1, 0, 5, 4)]
    starts = np.concatenate([[0], np.cumsum([len(gene) for gene in genes])])
    found = distinct.distinct_values(starts, np.concatenate(genes).astype(np.float32), 5)
    for j, gene in enumerate(genes):
        values, counts = np.unique(np.concatenate([gene, np.zeros(5 - len(gene))]), return_counts=True)
        own = slice(found.starts[j], found.starts[j + 1])
        assert found.values[own].tolist() == values.tolist()
        assert found.counts[own].tolist() == np.cumsum(counts).tolist()
