"""Sums of the largest values."""

from __future__ import annotations

import numpy as np
import pytest

from adverscarial.classifiers.scorers.prefixes import NEVER, fewest_of_products, largest_sums


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


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_the_fewest_gains_that_reach_a_sum_are_counted_whatever_the_cells_before_needed(
    whole: bool, strict: bool
) -> None:
    rng = np.random.default_rng(int(whole))
    steps, weights = rng.normal(size=(400, 150)), rng.normal(size=150)
    if whole:  # many ties, and sums without rounding
        steps, weights = np.rint(3 * steps), np.rint(3 * weights)
    gains = np.sort(np.maximum(steps * weights, 0), axis=1)[:, ::-1]
    sums = gains.cumsum(axis=1)
    # neighbours that need one gene, then nearly all, then none, then more than there are: nothing may carry over
    need = sums.sum(axis=1) / 150 * rng.choice([0.001, 0.01, 0.3, 0.9, 3.0], size=400)
    need[::17], need[5::29] = -1.0, 0.0
    need[3::11] = sums[3::11, 4]  # reached exactly with five
    if not whole:
        need[3::11] *= 1 - 1e-9
    need = np.rint(need) if whole else need
    reached = sums > need[:, None] if strict else sums >= need[:, None]
    expected = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, NEVER)
    expected[(need < 0) | ((need == 0) & (not strict))] = 0
    cells = rng.permutation(400)
    np.testing.assert_array_equal(fewest_of_products(steps, cells, weights, need[cells], strict), expected[cells])
    assert (expected == NEVER).any()
    assert len(np.unique(expected)) > 10
