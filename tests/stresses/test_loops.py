"""The compiled loops beside plain numpy and scipy, which do the same in another way."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from adverscarial.stresses import loops
from adverscarial.stresses.molecules import closed
from stresses.made import as_cells, count_data


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 99))
def test_molecules_find_their_gene_as_a_search_does(profile: list[float], seed: int) -> None:
    cumulated = np.cumsum(profile)
    if cumulated[-1] == 0:
        return
    at = np.concatenate([np.random.default_rng(seed).random(50) * cumulated[-1], cumulated[:-1], [0.0]])
    at = at[at < cumulated[-1]]
    np.testing.assert_array_equal(loops.genes_of(at, cumulated), np.searchsorted(cumulated, at, side="right"))


def test_molecules_find_their_count_as_a_search_does() -> None:
    cells = as_cells(count_data())
    at = np.arange(cells.counts.sum())
    owners = np.repeat(np.arange(90), cells.totals)
    found = loops.entries_of(at, owners, cells.bounds, cells.counts.indptr)
    np.testing.assert_array_equal(found, np.searchsorted(cells.bounds, at, side="right"))


@given(st.integers(0, 99))
@settings(max_examples=10)
def test_molecules_are_added_as_a_sum_of_matrices(seed: int) -> None:
    counts, rng = as_cells(count_data(seed=seed)).counts, np.random.default_rng(seed)
    numbers = rng.integers(0, 5, 90)
    genes = rng.integers(0, 30, numbers.sum())
    starts, indices, data = loops.with_molecules(counts.indptr, counts.indices, counts.data, numbers, genes, 30)
    more = sp.coo_array(
        (np.ones(len(genes), dtype=int), (np.repeat(np.arange(90), numbers), genes)), shape=counts.shape
    )
    np.testing.assert_array_equal(
        sp.csr_array((data, indices, starts), shape=counts.shape).toarray(), (counts + more).toarray()
    )


@pytest.mark.parametrize("left", [2, 6, 9])
def test_what_is_too_much_is_lost_without_replacement(left: int) -> None:
    """Of 4, 5 and 2 molecules some are left: the first count is hypergeometric."""
    n = 6000
    counts = sp.csr_array(np.tile(np.array([[4, 0, 5, 2]]), (n, 1)))
    new = closed(counts, np.full(n, left), np.random.default_rng(left)).toarray()
    assert not new[:, 1].any()
    for gene, own in ((0, 4), (2, 5), (3, 2)):
        expected = n * stats.hypergeom.pmf(np.arange(own + 1), 11, own, left)
        seen = np.bincount(new[:, gene], minlength=own + 1)
        common = expected >= 5
        assert seen[expected == 0].sum() == 0
        seen, expected = (
            np.append(seen[common], seen[~common].sum()),
            np.append(expected[common], expected[~common].sum()),
        )
        assert stats.chisquare(seen[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_what_lacks_is_drawn_in_proportion() -> None:
    n = 4000
    counts = sp.csr_array(np.tile(np.array([[3, 0, 1]]), (n, 1)))
    more = closed(counts, np.full(n, 10), np.random.default_rng(0)).toarray() - np.array([3, 0, 1])
    expected = n * stats.binom.pmf(np.arange(7), 6, 0.75)
    assert stats.chisquare(np.bincount(more[:, 0], minlength=7), expected).pvalue > 1e-3
    assert not more[:, 1].any()
