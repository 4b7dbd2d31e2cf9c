"""Quantiles are remembered of the very same values, and of no others."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from adverscarial.cells import known_quantiles
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError
from cells.forms import FORMS

CELLS, GENES = 600, 500


def values(dtype: Any = np.float32) -> np.ndarray:
    """More values than are worked out again each time, none of them 0."""
    random = np.random.default_rng(0)
    made = random.normal(size=(CELLS, GENES)) if np.dtype(dtype).kind == "f" else random.integers(1, 99, (CELLS, GENES))
    return made.astype(dtype)


def held(X: Any) -> np.ndarray:
    found: np.ndarray = X.data if sp.issparse(X) else X
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many genes were worked out, each time that some were."""
    numbers: list[int] = []
    original = GeneStatistics._at

    def noted(self: GeneStatistics, genes: np.ndarray, *ranks: int) -> Iterator[tuple[slice, list[np.ndarray]]]:
        numbers.append(len(genes))
        return original(self, genes, *ranks)

    monkeypatch.setattr(GeneStatistics, "_at", noted)
    return numbers


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_values_are_worked_out_once(form: str, dtype: Any, asked: list[int]) -> None:
    X = FORMS[form](values(dtype))
    genes = np.arange(GENES)
    for q in (0.99, 0.5, 0.01):
        wanted = np.quantile(values(dtype).astype(np.float64), q, axis=0)
        asked.clear()
        for _ in range(3):
            np.testing.assert_array_equal(GeneStatistics(X).quantile(genes, q), wanted)
        assert asked == [GENES]


@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_was_changed_in_place_counts(form: str, asked: list[int]) -> None:
    """Also where a single one was, two have traded genes, or all were, back and forth."""
    X, genes = FORMS[form](values()), np.arange(GENES)
    GeneStatistics(X).quantile(genes, 0.99)
    flat = held(X).ravel(order="K")
    for change in ("one", "trade", "all", "back"):
        if change == "one":
            flat[12_345] = 1e3
        elif change == "trade":
            flat[[0, 100_000]] = flat[[100_000, 0]]
        else:
            held(X)[:] *= 2 if change == "all" else 0.5
        dense = (X.toarray() if sp.issparse(X) else X).astype(np.float64)
        np.testing.assert_array_equal(GeneStatistics(X).quantile(genes, 0.99), np.quantile(dense, 0.99, axis=0))
    assert asked == [GENES] * 5


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_entries_that_move_to_other_genes_count(form: str) -> None:
    X = FORMS[form](values() * (np.random.default_rng(1).random((CELLS, GENES)) < 0.97))
    genes = np.arange(GENES)
    GeneStatistics(X).quantile(genes, 0.99)
    X.indices[:] = X.indices[::-1].copy()
    X.has_sorted_indices = X.has_canonical_format = False
    wanted = np.quantile(X.toarray().astype(np.float64), 0.99, axis=0)
    np.testing.assert_array_equal(GeneStatistics(X).quantile(genes, 0.99), wanted)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_since_is_refused(bad: float) -> None:
    X, genes = values(), np.arange(GENES)
    GeneStatistics(X).quantile(genes, 0.99)
    X[5, 7] = bad
    with pytest.raises(DataError, match="NaN"):
        GeneStatistics(X).quantile(genes, 0.99)
    X[5, 7] = 0.5
    np.testing.assert_array_equal(
        GeneStatistics(X).quantile(genes, 0.99), np.quantile(X.astype(np.float64), 0.99, axis=0)
    )


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_what_statistics_keep_of_older_values_is_told_to_nobody(form: str) -> None:
    """Statistics that are handed from attack to attack are of the values as they were."""
    X, genes = FORMS[form](values()), np.arange(GENES)
    shared = GeneStatistics(X)
    shared.shifted(genes, values()[:1], 3)
    before = shared.quantile(genes, 0.5)
    held(X)[:] *= 3
    shared.quantile(genes, 0.9)
    shared.quantile_expressing(genes, 0.9)
    dense = (X.toarray() if sp.issparse(X) else X).astype(np.float64)
    for q in (0.5, 0.9):
        np.testing.assert_array_equal(GeneStatistics(X).quantile(genes, q), np.quantile(dense, q, axis=0))
    np.testing.assert_array_equal(shared.quantile(genes, 0.5), before)


def test_some_genes_are_known_after_all_and_the_others_after_some(asked: list[int]) -> None:
    X, dense = values(), values().astype(np.float64)
    some, rest = np.arange(0, GENES, 2), np.arange(0, GENES, 3)
    for genes in (some, rest, np.arange(GENES), some[:3]):
        got = GeneStatistics(X).quantile(genes, 0.99)
        np.testing.assert_array_equal(got, np.quantile(dense[:, genes], 0.99, axis=0))
    missing = GENES - len(np.union1d(some, rest))
    assert asked == [len(some), len(rest) - len(np.intersect1d(some, rest)), missing, 3]  # few are read by themselves


def test_cells_that_quantiles_are_taken_over_are_kept_apart() -> None:
    X, genes = np.maximum(values(), 0), np.arange(GENES)
    for _ in range(2):
        over_all = GeneStatistics(X).quantile(genes, 0.5)
        expressing = GeneStatistics(X).quantile_expressing(genes, 0.5)
        assert (over_all < expressing).all()


def test_small_matrices_files_and_views_are_not_known() -> None:
    assert known_quantiles.tables_of(np.zeros((20, 20))) is None
    assert known_quantiles.tables_of(np.zeros((CELLS, GENES))[:, ::2]) is None
    assert known_quantiles.tables_of(sp.coo_matrix(values())) is None
