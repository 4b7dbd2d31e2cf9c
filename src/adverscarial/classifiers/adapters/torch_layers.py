"""The dense layers that a chain of torch modules comes to in evaluation: batch normalisation is taken into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from adverscarial.classifiers.scorers.dense_layers import Bend

if TYPE_CHECKING:
    import torch


class DenseLayer(NamedTuple):
    """A layer with what comes between it and the next one's ReLU.

    Attributes
    ----------
    kernel, bias
        Shapes (inputs, units) and (units,).
    terms
        How much was added up for the bias, whatever cancelled, shape (units,).
    bend
        What becomes of the sums that torch's own layer gives, in the first layer.
    """

    kernel: np.ndarray
    bias: np.ndarray
    terms: np.ndarray
    bend: Bend


def dense_chain(operations: Sequence[torch.nn.Module]) -> list[DenseLayer] | None:
    """Return the layers of linear operations with ReLU between them; None for any other chain.

    Batch normalisation that stands behind a linear operation, or between a ReLU and the next one, only stretches and
    moves what it gets, by numbers that are fixed in evaluation. So it is a part of that linear operation.
    """
    from torch import nn

    layers: list[DenseLayer] = []
    now: DenseLayer | None = None  # behind which no ReLU has come yet
    between: Bend | None = None  # a normalisation behind the last ReLU
    for part in operations:
        if type(part) is nn.Linear and now is None and _known_precision(part):
            now, between = _layer(part, between), None
        elif type(part) is nn.BatchNorm1d and _known_precision(part) and part.running_mean is not None:
            bend = _bend(part)
            if now is not None:
                now = _bent(now, bend)
            elif layers and between is None:
                between = bend
            else:
                return None
        elif type(part) is nn.ReLU and now is not None:
            layers.append(now)
            now = None
        else:
            return None
    return None if now is None else [*layers, now]


def ends_in_softmax(part: torch.nn.Module, logits: bool) -> bool:
    """Return whether an operation is a softmax of each cell that leaves the order of its outputs as it is.

    Probabilities of which another softmax is taken (`logits`) lie so close together that rounding can hide their order.
    """
    from torch import nn

    known = type(part) is nn.LogSoftmax or (type(part) is nn.Softmax and not logits)
    return known and getattr(part, "dim", 0) in (1, -1)


def _known_precision(part: torch.nn.Module) -> bool:
    import torch

    return all(p.dtype in (torch.float32, torch.float64) for p in part.parameters())


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().double().cpu().numpy()
    return array


def _layer(part: torch.nn.Linear, before: Bend | None) -> DenseLayer:
    kernel = _numbers(part.weight).T
    bias = np.zeros(part.out_features) if part.bias is None else _numbers(part.bias)
    terms, nothing = np.abs(bias), np.zeros(part.out_features)
    if before is not None:
        bias = bias + before.shift @ kernel
        terms = terms + before.terms @ np.abs(kernel)
        kernel = before.scale[:, None] * kernel
    return DenseLayer(kernel, bias, terms, Bend(np.ones(part.out_features), nothing, nothing))


def _bend(part: torch.nn.BatchNorm1d) -> Bend:
    mean, spread = _numbers(part.running_mean), np.sqrt(_numbers(part.running_var) + part.eps)
    scale = (1.0 if part.weight is None else _numbers(part.weight)) / spread
    offset = np.zeros_like(mean) if part.bias is None else _numbers(part.bias)
    return Bend(scale, offset - mean * scale, np.abs(offset) + np.abs(mean * scale))


def _bent(layer: DenseLayer, bend: Bend) -> DenseLayer:
    steep = np.abs(bend.scale)
    return DenseLayer(
        layer.kernel * bend.scale,
        layer.bias * bend.scale + bend.shift,
        layer.terms * steep + bend.terms,
        Bend(
            layer.bend.scale * bend.scale,
            layer.bend.shift * bend.scale + bend.shift,
            layer.bend.terms * steep + bend.terms,
        ),
    )
