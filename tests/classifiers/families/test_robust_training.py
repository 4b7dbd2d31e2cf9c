"""Logistic regression trained against an attacker who may change a few genes of each cell."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy.optimize import approx_fprime, minimize

import adverscarial as adv
from adverscarial.classifiers import Linear
from adverscarial.classifiers.families.robust_training import RobustLoss, robust_weights, worst_gains


def plain_loss(point: np.ndarray, X: np.ndarray, codes: np.ndarray, n_genes: int, strength: float) -> float:
    """Return the loss as its definition says it: each cell and each rival, gains sorted."""
    n_classes, total = codes.max() + 1, 0.0
    W, b = point[:-n_classes].reshape(n_classes, -1), point[-n_classes:]
    for q in (1, 99):
        value = np.percentile(X, q, axis=0)
        for x, y in zip(X, codes, strict=True):
            scores = W @ x + b
            for c in range(n_classes):
                gain = np.sort((W[c] - W[y]) * (value - x))[::-1][:n_genes]
                scores[c] += gain[gain > 0].sum()
            total += (np.log(np.exp(scores).sum()) - scores[y]) / (2 * n_classes * (codes == y).sum())
    return total + (W**2).sum() / (2 * strength)


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat([0, 1, 2], [30, 20, 10]))
    return (rng.normal(size=(60, 12)) + 2 * rng.normal(size=(3, 12))[codes]).astype(np.float32), codes


@pytest.mark.parametrize("n_genes", [1, 3, 12, 40])
def test_gains_are_the_sums_of_the_largest(n_genes: int, problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, codes = problem
    W = np.random.default_rng(1).normal(size=(3, 12)).astype(np.float32)
    value = np.percentile(X, 99, axis=0).astype(np.float32)
    found, _ = worst_gains(X, codes, W, value, min(n_genes, 12))
    single = np.maximum((W[None] - W[codes][:, None]) * (value - X)[:, None], 0)
    expected = np.sort(single, axis=2)[:, :, ::-1][:, :, :n_genes].sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert (found >= expected - 1e-4).all()  # never too small
    if n_genes < 12:
        more, _ = worst_gains(X, codes, W, value, n_genes + 1)
        assert more.sum() > found.sum()


@pytest.mark.fast(1)
@pytest.mark.parametrize("n_genes", [1, 4])
def test_loss_and_slopes_are_those_of_the_definition(n_genes: int, problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, codes = problem
    loss = RobustLoss(X, codes, n_genes, 2.0)
    for seed in range(3):
        point = np.random.default_rng(seed).normal(size=3 * 12 + 3)
        found, slopes = loss(point)
        assert found == pytest.approx(plain_loss(point, X, codes, n_genes, 2.0), rel=1e-4)
        expected = approx_fprime(point, plain_loss, 1e-6, X, codes, n_genes, 2.0)
        np.testing.assert_allclose(slopes, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_training_ends_where_another_optimiser_does(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, codes = problem
    W, b = robust_weights(X, codes, 2, 10.0, 300)
    found = plain_loss(np.concatenate([W.T.ravel(), b]), X, codes, 2, 10.0)
    best = minimize(plain_loss, np.zeros(39), (X, codes, 2, 10.0), method="SLSQP", options={"maxiter": 200}).fun
    assert found == pytest.approx(best, rel=5e-3)
    assert found < plain_loss(np.zeros(39), X, codes, 2, 10.0) * 0.95


def test_without_an_attacker_it_is_logistic_regression(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, codes = problem
    cells = AnnData(X)
    cells.obs["cell_type"] = np.array(["a", "b", "c"])[codes]
    model = Linear(1.0).fit(cells, "cell_type")
    loss = RobustLoss(X, codes, 0, 1.0)
    found = minimize(loss, np.zeros(39), jac=True, method="L-BFGS-B").x
    np.testing.assert_allclose(found[:36].reshape(3, 12).T, model.weights, atol=2e-3)


@pytest.mark.fast(1)
@pytest.mark.parametrize("types", [2, 5])
def test_more_genes_foreseen_more_genes_needed(types: int, pbmc_small: AnnData) -> None:
    scaled = adv.datasets.preprocess(pbmc_small, target_sum=None)
    names = sorted(set(scaled.obs["cell_type"]))[:types]
    train, test = adv.datasets.split(scaled[scaled.obs["cell_type"].isin(names)].copy(), "cell_type", seed=0)
    needed = []
    for against in (0, 5, 20):
        model = Linear(1.0, against=against).fit(train, "cell_type")
        assert model.weights.shape == (train.n_vars, types)
        assert model.classes == tuple(names)
        obs = adv.fragility(test, model, modification="perc99", copy=True, progress=False).obs
        needed.append(obs["fragility_lower"].median())
    assert needed[0] < needed[1] < needed[2]


def test_the_setting_is_told_and_kept(pbmc_small: AnnData) -> None:
    assert repr(Linear(2.0, against=7)) == "Linear(strength=2.0, against=7)"
    assert repr(Linear(2.0)) == "Linear(strength=2.0)"
    model = Linear(against=3, max_iter=2).fit(adv.datasets.preprocess(pbmc_small, target_sum=None), "cell_type")
    meta, arrays = model.state()
    assert Linear.from_state(meta, arrays).against == 3
    older = {**meta, "settings": {"strength": 10.0, "max_iter": 300}}  # a file that knows nothing of it
    assert Linear.from_state(older, arrays).against == 0
