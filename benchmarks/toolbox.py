"""FGSM and PGD on the MLP, beside the Adversarial Robustness Toolbox: the same matrix, and the time of each."""

from __future__ import annotations

import warnings

import numpy as np
import torch

import adverscarial as adv
from common import halves, median_seconds, save, show

TARGET, EPSILON, STEPS = "B", 0.05, 40


class InDouble(torch.nn.Module):
    """A network that computes in float64, as ours does; the toolbox itself knows float32 only."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network.double().eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.double())


def as_torch(model: adv.classifiers.MLP) -> torch.nn.Module:
    """Return the network as a torch module."""
    parts: list[torch.nn.Module] = []
    for W, b in model.layers:
        layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(W.T)))
            layer.bias.copy_(torch.from_numpy(b))
        parts += [layer, torch.nn.ReLU()]
    return InDouble(torch.nn.Sequential(*parts[:-1]))


def main() -> None:
    torch.set_num_threads(1)  # or the processor's clock counts threads that wait for each other
    warnings.filterwarnings("ignore")
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentNumpy
    from art.estimators.classification import PyTorchClassifier

    train, test = halves()
    model = adv.classifiers.MLP(seed=0).fit(train, "cell_type")
    loss = torch.nn.CrossEntropyLoss()
    theirs = PyTorchClassifier(as_torch(model), loss, (test.n_vars,), len(model.classes), device_type="cpu")
    inside = (test.obs["cell_type"] == TARGET).to_numpy()
    X = np.asarray(test.X[inside], dtype=np.float32)
    step = 2.5 * EPSILON / STEPS
    pairs = {
        "FGSM, linf": (adv.attacks.FastGradientSign(EPSILON), FastGradientMethod(theirs, norm=np.inf, eps=EPSILON)),
        "FGSM, l2": (adv.attacks.FastGradientSign(5.0, norm="l2"), FastGradientMethod(theirs, norm=2, eps=5.0)),
        f"PGD, linf, {STEPS} steps": (
            adv.attacks.ProjectedGradientDescent(EPSILON, step=step, steps=STEPS),
            ProjectedGradientDescentNumpy(
                theirs, norm=np.inf, eps=EPSILON, eps_step=step, max_iter=STEPS, num_random_init=0, verbose=False
            ),
        ),
    }
    rows = []
    for name, (attack, method) in pairs.items():
        result = attack(test, model, groupby="cell_type", target=TARGET)
        ours = np.asarray(result.apply(test).X[inside])
        apart = np.abs(ours - method.generate(X))
        seconds = median_seconds(lambda attack=attack: attack(test, model, groupby="cell_type", target=TARGET))
        reference = median_seconds(lambda method=method: method.generate(X))
        rows.append(
            {
                "attack": name,
                "cells x genes": f"{len(X)} x {X.shape[1]:,}",
                "cells flipped": int(result.row()["cells_flipped"]),
                "values apart by more than 1e-5": f"{int((apart > 1e-5).sum()):,} of {apart.size:,}",
                "largest difference": f"{apart.max():.1e}",
                "toolbox, s": f"{reference:.3f}",
                "ours, s": f"{seconds:.3f}",
                "ratio": f"{reference / seconds:.1f}",
            }
        )
    print(show(rows))
    save("toolbox", rows)


if __name__ == "__main__":
    main()
