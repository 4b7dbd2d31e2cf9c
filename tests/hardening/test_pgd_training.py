"""The inner loop of PGD training, and the networks that it gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import hardening
from adverscarial.attacks import SingleGene
from adverscarial.classifiers import MLP
from adverscarial.hardening import harden, projected_gradient

pytestmark = pytest.mark.slow

ATTACK = SingleGene("perc99")


def balanced(said: pd.Series, truth: pd.Series) -> float:
    names = truth.astype(str).to_numpy()
    return float(pd.Series(said.astype(str).to_numpy() == names).groupby(names).mean().mean())


def names_of(cells: AnnData) -> list[str]:
    return sorted(set(cells.obs["cell_type"].astype(str)))


@pytest.fixture(scope="module")
def scaled(pbmc_small) -> tuple[AnnData, AnnData]:
    pytest.importorskip("torch")
    cells = adv.datasets.preprocess(pbmc_small, target_sum=None)
    return adv.datasets.split(cells, "cell_type", seed=0)


def worst_case_accuracy(model: MLP, cells: AnnData, epsilon: float, steps: int = 10) -> float:
    """Balanced accuracy under PGD on the logit margin, written here from the network's weights alone."""
    X = np.asarray(cells.X, dtype=np.float64)
    truth = cells.obs["cell_type"].astype(str)
    own = np.array([model.classes.index(name) for name in truth])
    rows, moved = np.arange(len(X)), X.copy()
    for _ in range(steps):
        kept, values = [], moved
        for W, b in model.layers[:-1]:
            values = np.maximum(values @ W + b, 0)
            kept.append(values > 0)
        W, b = model.layers[-1]
        logits = values @ W + b
        logits[rows, own] = -np.inf
        back = W[:, logits.argmax(axis=1)].T - W[:, own].T
        for (W, _), alive in zip(model.layers[-2::-1], kept[::-1], strict=True):
            back = (back * alive) @ W.T
        moved = np.clip(moved + 2.5 * epsilon / steps * np.sign(back), X - epsilon, X + epsilon)
    return balanced(model.predict(AnnData(moved, obs=cells.obs, var=cells.var)), truth)


@pytest.mark.slow
def test_pgd_training_makes_the_worst_case_better_and_keeps_clean_accuracy(scaled):
    train, test = scaled
    settings = {"groupby": "cell_type", "test": test, "method": "pgd", "epsilon": 0.3, "rounds": 1}
    attack = SingleGene("perc99")
    done = harden(train, MLP(seed=0, device="cpu"), attack, **settings)
    assert done.method == "pgd"
    assert done.table["epsilon"].tolist()[1] == 0.3
    before, after = (worst_case_accuracy(model, test, 0.3) for model in (done.before, done.classifier))
    assert after > before + 0.1
    assert done.table["clean_accuracy"].iloc[1] > done.table["clean_accuracy"].iloc[0] - 0.05
    for target in names_of(test)[:3]:
        assert attack(test, done.classifier, groupby="cell_type", target=target).verify(test, done.classifier)
    again = harden(train, MLP(seed=0, device="cpu"), attack, **settings)
    for one, other in zip(done.classifier.layers, again.classifier.layers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    pd.testing.assert_frame_equal(done.table, again.table)


class FakeTrainer:
    """Its loss is ``slope * value``, added up."""

    def __init__(self, slope: np.ndarray) -> None:
        self.slope, self.asked = slope, []

    def gradient(self, X, codes):
        self.asked.append((len(X), codes.tolist()))
        return np.broadcast_to(self.slope, X.shape)


@pytest.mark.parametrize(("share", "moved"), [(1.0, 5), (0.5, 3), (0.2, 1)])
def test_projected_gradient_goes_to_the_worst_corner_of_the_box(share, moved):
    X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    trainer, codes = FakeTrainer(np.array([2.0, -0.5, 0.0], dtype=np.float32)), np.arange(5)
    out = projected_gradient(0.25, 4, share=share, seed=1)(trainer, X, codes)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:moved, 0], X[:moved, 0] + 0.25, rtol=1e-6)
    np.testing.assert_allclose(out[:moved, 1], X[:moved, 1] - 0.25, rtol=1e-6)
    assert (np.abs(out - X) <= 0.25 + 1e-6).all()
    assert (out[:moved, 2] != X[:moved, 2]).any()  # the random start, which no gradient moved
    np.testing.assert_array_equal(out[moved:], X[moved:])
    assert trainer.asked == [(moved, list(range(moved)))] * 4


def test_pgd_rounds_widen_the_box(scaled, monkeypatch):
    widths = []

    def noted(epsilon, steps, **settings):
        widths.append((epsilon, steps, settings))
        return lambda trainer, X, codes: X

    monkeypatch.setattr(hardening.training, "projected_gradient", noted)
    done = harden(
        scaled[0], MLP(epochs=1, seed=0), SingleGene("perc99"), groupby="cell_type", test=scaled[1], method="pgd",
        epsilon=0.4, rounds=2, steps=3, share=0.5, seed=7,
    )  # fmt: skip
    assert widths == [(0.2, 3, {"share": 0.5, "seed": 7}), (0.4, 3, {"share": 0.5, "seed": 7})]
    # a hook that changes nothing trains the same network as no hook
    np.testing.assert_array_equal(done.classifier.layers[0][0], done.before.layers[0][0])


def test_trainer_gradient_is_the_slope_of_the_loss():
    torch = pytest.importorskip("torch")
    from adverscarial.classifiers.families.mlp_trainer import Trainer

    random = np.random.default_rng(0)
    shapes = [(6, 5), (5,), (5, 4), (4,), (4, 3), (3,)]
    trainer = Trainer([random.normal(size=s).astype(np.float32) for s in shapes], 1e-3, 0.5, torch.Generator())
    trainer.tensors = [w.detach().double().requires_grad_() for w in trainer.tensors]
    X, codes = random.normal(size=(7, 6)), random.integers(3, size=7)
    gradient = trainer.gradient(X, codes)
    for i, j in [(0, 0), (3, 2), (6, 5)]:
        step = np.zeros_like(X)
        step[i, j] = 1e-6
        slope = (trainer.losses(X + step, codes)[0] - trainer.losses(X - step, codes)[0]).item() / 2e-6
        assert gradient[i, j] == pytest.approx(slope, rel=1e-5, abs=1e-9)
    assert all(w.grad is None for w in trainer.tensors)
