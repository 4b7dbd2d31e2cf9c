"""The inner loop of PGD training: each batch goes to where the network of that moment does worst."""

from __future__ import annotations

import numpy as np

from adverscarial.classifiers.families.mlp_trainer import Adversary, Trainer


def projected_gradient(epsilon: float, steps: int, *, share: float = 1.0, seed: int = 0) -> Adversary:
    """Return the inner loop of PGD training, for ``MLP.fit(..., adversary=)``.

    Parameters
    ----------
    epsilon
        How far each value may move from the cell's own.
    steps
        Gradient steps, each of ``2.5 * epsilon / steps``.
    share
        Share of each batch that is moved: its first rows, which are random ones.
    seed
        Of the random starts; the same seed gives the same training on a CPU.
    """
    generator = np.random.default_rng(seed)
    radius, size = np.float32(epsilon), np.float32(2.5 * epsilon / steps)

    def moved(trainer: Trainer, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        n = -int(-share * len(X) // 1)
        cells = X[:n] + radius * (2 * generator.random(X[:n].shape, dtype=np.float32) - 1)
        for _ in range(steps):
            cells += size * np.sign(trainer.gradient(cells, codes[:n]))
            np.clip(cells, X[:n] - radius, X[:n] + radius, out=cells)
        return np.concatenate([cells, X[n:]])

    return moved
