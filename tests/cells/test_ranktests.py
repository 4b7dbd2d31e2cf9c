"""The tests on many genes at once, beside those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from adverscarial.cells.ranktests import welch


@pytest.mark.fast(6)
@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-6, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize("sizes", [(2, 3), (40, 7), (900, 1_100)])
def test_welchs_p_values_are_scipys_to_the_last_digits(sizes: tuple[int, int], apart: float) -> None:
    """From p beside 1, where 1 minus something small would lose what is small, to p far below 1e-100."""
    rng = np.random.default_rng(0)
    n_genes = 50
    first = rng.normal(size=(n_genes, sizes[0]))
    second = rng.normal(scale=2.0, size=(n_genes, sizes[1]))
    first -= first.mean(axis=1, keepdims=True)
    second += apart * rng.random((n_genes, 1)) - second.mean(axis=1, keepdims=True)
    p, t = welch(np.hstack([first, second]), np.array(sizes), np.array([[0, 1]]))
    expected = ttest_ind(first, second, axis=1, equal_var=False)
    np.testing.assert_allclose(t[:, 0], np.abs(expected.statistic), rtol=1e-9, atol=1e-13)
    kept = expected.pvalue > 1e-280
    np.testing.assert_allclose(p[kept, 0], expected.pvalue[kept], rtol=1e-13 if apart < 1e-2 else 1e-11)
    if apart <= 1e-6 and apart > 0:
        assert p.min() > 0.99
