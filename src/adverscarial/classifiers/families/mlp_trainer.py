"""How a multilayer perceptron learns: one step of Adam at a time, as Keras takes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from adverscarial.classifiers.device import import_torch

if TYPE_CHECKING:
    import torch


_PART = 2**15  # weights that are changed together: all numbers about them stay in the processor's cache


class Trainer:
    """The network while it learns: float32 tensors, and Adam as Keras writes it.

    Parameters
    ----------
    weights
        ``W1, b1, W2, b2, ...``, float32.
    learning_rate, dropout
        As for :class:`MLP`.
    generator
        ``torch.Generator`` on the CPU, so that every device draws the same numbers.
    device
        Where the tensors live.

    Notes
    -----
    Keras adds epsilon (1e-7) to the square root of the second moment *before* the bias correction, torch.optim after
    it; that alone moves some weights by 3e-3 in three steps. Keras also computes the bias correction in float32, which
    is visible in the sixth digit of the loss. Hence this Adam of our own.
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        learning_rate: float,
        dropout: float,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        self.torch = import_torch("Training MLP")
        self.tensors = [self.torch.tensor(w, device=device).requires_grad_() for w in weights]
        self.moments = [(self.torch.zeros_like(w), self.torch.zeros_like(w)) for w in self.tensors]
        self._room = self.torch.empty(_PART, device=device)
        together = zip(self.tensors, self.moments, strict=True)
        self._parts = [[one.detach().view(-1).split(_PART) for one in (w, *both)] for w, both in together]
        self.learning_rate, self.dropout, self.generator, self.device = learning_rate, dropout, generator, device
        self.steps = 0

    def losses(self, X: np.ndarray, codes: np.ndarray, dropout: float = 0.0) -> tuple[torch.Tensor, float]:
        """Return the mean cross-entropy (a tensor), and the share of rows whose best class is right."""
        torch = self.torch
        values, truth = (torch.as_tensor(array).to(self.device) for array in (X, codes))
        for W, b in zip(self.tensors[:-2:2], self.tensors[1:-2:2], strict=True):
            values = torch.relu(values @ W + b)
            if dropout:
                kept = torch.rand(values.shape, generator=self.generator).to(self.device) >= dropout
                values = values * kept / (1 - dropout)
        logits = values @ self.tensors[-2] + self.tensors[-1]
        return torch.nn.functional.cross_entropy(logits, truth), float((logits.argmax(1) == truth).float().mean())

    def gradient(self, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss, without dropout, with respect to each value of `X`; float32, its shape."""
        values = self.torch.from_numpy(X).to(self.device).requires_grad_()
        gradient: np.ndarray = self.torch.autograd.grad(self.losses(values, codes)[0], values)[0].cpu().numpy()
        return gradient

    def step(self, X: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
        """Take one step on these rows; return loss and accuracy before it."""
        torch = self.torch
        loss, accuracy = self.losses(X, codes, self.dropout)
        gradients = torch.autograd.grad(loss, self.tensors)
        self.steps += 1
        powers = np.array([0.9, 0.999], dtype=np.float32) ** np.float32(self.steps)
        rate = float(np.float32(self.learning_rate) * np.sqrt(1 - powers[1]) / (1 - powers[0]))
        with torch.no_grad():
            for parts, gradient in zip(self._parts, gradients, strict=True):
                for w, first, second, slope in zip(*parts, gradient.view(-1).split(_PART), strict=True):
                    first.lerp_(slope, 1 - 0.9)
                    second.lerp_(slope.square_(), 1 - 0.999)
                    width = torch.sqrt(second, out=self._room[: len(w)]).add_(1e-7)
                    w.addcdiv_(first, width, value=-rate)
        return float(loss.detach()), accuracy


#: what to train on in place of a batch, given the network as it stands
Adversary = Callable[[Trainer, np.ndarray, np.ndarray], np.ndarray]


def split(codes: np.ndarray, share: float, faithful: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and the rows to watch, both sorted."""
    if faithful:
        rows, kept = np.arange(len(codes)), math.floor(len(codes) * (1 - share))
        return rows[:kept], rows[kept:]
    random = np.random.default_rng(seed)
    watched = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        watched[random.permutation(rows)[: math.floor(share * len(rows))]] = True
    return np.flatnonzero(~watched), np.flatnonzero(watched)
