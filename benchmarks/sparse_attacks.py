"""Sparse attacks of others: sigma-zero and FMN-L0 of adv-lib, and JSMA of the Adversarial Robustness Toolbox.

adv-lib is not among the packages of the test environment: ``pip install --no-deps adv-lib==0.2.8`` (the image tools
that it names are not used here).
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Sequence

import numpy as np
import torch

Layers = Sequence[tuple[np.ndarray, np.ndarray]]


class Box(torch.nn.Module):
    """A network whose inputs say how far each gene has gone from its old value (0) to its new one (1).

    In float32, as the attacks are meant to be used.

    Parameters
    ----------
    layers
        Kernel and bias of each layer.
    cells
        Their values, cells x all genes.
    genes
        Those that can move.
    old, new
        Their values, shape (cells, genes).
    """

    def __init__(self, layers: Layers, cells: np.ndarray, genes: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        for W, b in layers:
            layer = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(W.T)))
                layer.bias.copy_(torch.from_numpy(b))
            parts += [layer, torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*parts[:-1]).requires_grad_(False)
        W, b = layers[0]
        # the first layer's sums of what cannot move, once for all
        self.rest = torch.from_numpy(cells @ W - old @ W[genes] + b).float()
        self.first = torch.from_numpy(np.ascontiguousarray(W[genes])).float()
        self.old, self.step = torch.from_numpy(old).float(), torch.from_numpy(new - old).float()
        self.rows = slice(None)  # of the cells that are asked about

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        sums = self.rest[self.rows] + (self.old[self.rows] + z * self.step[self.rows]) @ self.first
        for layer in self.network[1:]:
            sums = layer(sums)
        return sums


def adv_lib() -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """Return sigma-zero and FMN, past the rest of their package, which needs tools for images."""
    found = importlib.util.find_spec("adv_lib")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("adv-lib is not installed here: pip install --no-deps adv-lib==0.2.8")
    package = types.ModuleType("adv_lib.attacks")
    package.__path__ = [f"{found.submodule_search_locations[0]}/attacks"]
    sys.modules["adv_lib.attacks"] = package
    from adv_lib.attacks.fast_minimum_norm import fmn
    from adv_lib.attacks.sigma_zero import sigma_zero

    return sigma_zero, fmn


def jsma(box: Box) -> np.ndarray:
    """Return how far JSMA moves each gene: whole moves, the better one of the two labels that are next by score."""
    from art.attacks.evasion import SaliencyMapMethod
    from art.estimators.classification import PyTorchClassifier

    genes, classes = box.old.shape[1], box.network[-1].out_features
    with torch.no_grad():
        order = torch.argsort(-box(torch.zeros_like(box.old)), dim=1).numpy()
    theirs = PyTorchClassifier(
        box, torch.nn.CrossEntropyLoss(), (genes,), classes, clip_values=(0.0, 1.0), device_type="cpu"
    )
    method = SaliencyMapMethod(theirs, theta=1.0, gamma=1.0, verbose=False)
    best = np.zeros((len(order), genes), dtype=np.float32)
    for cell in range(len(order)):
        box.rows = slice(cell, cell + 1)
        tried = [method.generate(np.zeros((1, genes), np.float32), np.eye(classes)[[k]])[0] for k in order[cell, 1:3]]
        reached = [z for z, k in zip(tried, order[cell, 1:3], strict=True) if theirs.predict(z[None]).argmax() == k]
        best[cell] = min(reached, key=np.count_nonzero, default=best[cell])
    box.rows = slice(None)
    return best


def peers(box: Box, steps: Sequence[int]) -> dict[str, Callable[[], np.ndarray]]:
    """Return the attacks by name; each returns how far each gene goes, shape (cells, genes)."""
    sigma_zero, fmn = adv_lib()
    start = torch.zeros_like(box.old)
    with torch.no_grad():
        labels = box(start).argmax(dim=1)
    asked: dict[str, Callable[[], np.ndarray]] = {}
    for n in steps:
        asked[f"sigma-zero, {n:,} steps"] = lambda n=n: sigma_zero(box, start, labels, num_steps=n).numpy()
        asked[f"FMN-L0, {n:,} steps"] = lambda n=n: fmn(box, start, labels, norm=0, steps=n).numpy()
    return asked | {"JSMA": lambda: jsma(box)}
