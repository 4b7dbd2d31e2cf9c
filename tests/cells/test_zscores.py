"""z-scores of columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import zscore

from adverscarial.cells.zscores import standardised, zscores


def test_z_scores_are_scipys() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, (20, 4))
    np.testing.assert_allclose(zscores(values), zscore(values, ddof=1), rtol=1e-12)


def test_other_cells_can_give_mean_and_deviation() -> None:
    rng = np.random.default_rng(1)
    over, values = rng.normal(size=(30, 3)), rng.normal(size=(5, 3))
    expected = (values - over.mean(axis=0)) / over.std(axis=0, ddof=1)
    np.testing.assert_allclose(zscores(values, over), expected, rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_a_column_that_does_not_vary_is_zero_in_spite_of_rounding(constant: float) -> None:
    values = np.column_stack([np.full(7, constant), np.arange(7.0)])
    found = zscores(values)
    assert (found[:, 0] == 0).all()
    assert np.isfinite(found).all()


def test_one_cell_does_not_vary() -> None:
    assert zscores(np.array([[3.0, 4.0]])).tolist() == [[0.0, 0.0]]


def test_nan_stays_nan() -> None:
    nothing = np.array([np.nan])
    assert np.isnan(standardised(np.array([[1.0]]), nothing, nothing)).all()
