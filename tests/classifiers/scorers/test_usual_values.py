"""Values that are the same in most cells: sums over cells are those of all values; dense values have no such form."""

from __future__ import annotations

import numpy as np
import pytest

from adverscarial.classifiers.scorers.usual_values import usual_values


def sparse(seed: int, cells: int = 40, genes: int = 700, share: float = 0.1) -> np.ndarray:
    """Return values of which most are the smallest of their gene."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((cells, genes)) < share, rng.gamma(1, 2, (cells, genes)), 0)
    return X - X.mean(axis=0)


def expected(values: np.ndarray, weights: np.ndarray, units: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.einsum("cg,cu,gu->g", values.astype(np.float64), weights, units)
    return found


@pytest.mark.parametrize("units", [1, 4, 7])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weighted_sums_are_those_of_all_values(kind: type, sign: float, units: int) -> None:
    values, rng = (sign * sparse(1)).astype(kind), np.random.default_rng(2)
    weights, W = rng.normal(size=(40, units)), rng.normal(size=(700, units))
    form = usual_values(values)
    assert form is not None
    assert len(form.cells) < 0.15 * values.size
    np.testing.assert_allclose(form.weighted(weights, W), expected(values, weights, W), rtol=1e-12, atol=1e-11)


def test_steps_to_new_values_of_some_genes() -> None:
    values, rng = sparse(3), np.random.default_rng(4)
    genes, new = np.array([5, 699, 0, 300]), rng.normal(size=4)
    weights, W = rng.normal(size=(40, 3)), rng.normal(size=(4, 3))
    form = usual_values(values)
    assert form is not None
    found = form.steps_to(genes, new).weighted(weights, W)
    np.testing.assert_allclose(found, expected(new - values[:, genes], weights, W), rtol=1e-12, atol=1e-11)


def test_a_gene_that_does_not_move_counts_exactly_nothing() -> None:
    values = np.full((5, 2), 0.1)
    form = usual_values(values)
    assert form is not None
    assert form.steps_to(np.array([1]), np.array([0.1])).weighted(np.ones((5, 2)), np.ones((1, 2))).tolist() == [0.0]


def test_values_that_differ_from_cell_to_cell_have_no_such_form() -> None:
    assert usual_values(np.random.default_rng(0).normal(size=(30, 10))) is None
