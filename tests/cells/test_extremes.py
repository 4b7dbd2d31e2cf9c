"""The largest and smallest values of each gene, against numpy's sort."""

import numpy as np
import pytest

from adverscarial.cells.extremes import at_an_end

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
