"""Sums of the largest values."""

from __future__ import annotations

import numpy as np
import pytest

from adverscarial.classifiers.scorers.prefixes import largest_sums


@pytest.mark.parametrize("m", [1, 2, 7, 39, 40, 100])
@pytest.mark.parametrize("whole", [False, True])
def test_the_largest_values_above_zero_are_added_up(m: int, whole: bool) -> None:
    rng = np.random.default_rng(m)
    products, scale = rng.normal(size=(40, 6)), rng.normal(size=40)
    if whole:  # many ties
        products, scale = np.rint(products), np.rint(scale)
    products[:, 0] = -np.abs(products[:, 0]) * np.sign(scale)  # nothing to add
    products[:, 1] = np.arange(40.0) * np.sign(scale)  # each value larger than those before
    expected = np.maximum(np.sort(products * scale[:, None], axis=0)[::-1][:m], 0).sum(axis=0)
    np.testing.assert_allclose(largest_sums(products, scale, m), expected, rtol=1e-12)
