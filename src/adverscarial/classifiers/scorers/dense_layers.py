"""The arithmetic of dense layers with ReLU between them, in float64: one code for numpy and for torch on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.device import cells_at_a_time, in_batches

if TYPE_CHECKING:
    import torch

#: kernel, shape (inputs, units), and bias of each layer: arrays of numpy, or tensors of torch, which can do the same
Layers = Sequence[tuple[np.ndarray, np.ndarray]]


class Bend(NamedTuple):
    """What becomes of each unit's sum before the ReLU: it is stretched, then moved.

    Attributes
    ----------
    scale, shift
        Shape (units,).
    terms
        How much was added up for `shift`, whatever cancelled.
    """

    scale: np.ndarray
    shift: np.ndarray
    terms: np.ndarray


class Upper(NamedTuple):
    """What stands above the first layer's sums.

    Attributes
    ----------
    layers
        The layers, with ReLU below each of them; there may be none.
    tolerance, margin
        How they round; see :class:`~adverscarial.classifiers.scorers.moves.Moves`.
    bend
        What happens to the first sums; left out, nothing.
    terms
        How much was added up for the bias of each of the layers, whatever cancelled; left out, the biases. With them,
        rounding is judged by all that is added up in the first layer, too, not only by its sums.
    """

    layers: Layers
    tolerance: float
    margin: float
    bend: Bend | None = None
    terms: Sequence[np.ndarray] | None = None


def above(layers: Layers, sums: np.ndarray) -> np.ndarray:
    """Return the last layer's sums, given those of the layer below `layers`."""
    for W, b in layers:
        sums = sums.clip(min=0) @ W
        sums += b
    return sums


@compiled
def moved(sums: np.ndarray, cells: np.ndarray, W: np.ndarray, rows: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Return ``sums[cells] + changes * W[rows]``, the first layer after one gene of a cell changed, in one walk."""
    out = np.empty((len(cells), sums.shape[1]))
    for i in range(len(cells)):
        before, weights, change = sums[cells[i]], W[rows[i]], changes[i]
        for k in range(len(before)):
            out[i, k] = before[k] + change * weights[k]
    return out


def forward(layers: Layers, X: np.ndarray) -> np.ndarray:
    """Return the last layer's sums for cells x genes."""
    W, b = layers[0]
    return above(layers[1:], X @ W + b)


def backward(layers: Layers, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the gradient of the weighted sum of logits with respect to `X`."""
    before = [X @ layers[0][0] + layers[0][1]]
    for W, b in layers[1:-1]:
        before.append(before[-1].clip(min=0) @ W + b)
    back = weights @ layers[-1][0].T
    for (W, _), sums in zip(layers[-2::-1], before[::-1], strict=True):
        back = (back * (sums > 0)) @ W.T
    return back


def run(
    function: Callable[..., np.ndarray],
    layers: Layers,
    arrays: Sequence[np.ndarray],
    device: torch.device | None,
    *,
    cells: int,
) -> np.ndarray:
    """Return ``function(layers, *rows)`` for all rows of the arrays, float64.

    Parameters
    ----------
    function
        One of the above; it judges each row on its own.
    layers, arrays
        What it takes, numpy arrays; one row per cell.
    device
        A ``torch.device``, for as many rows at a time as fit there; None: numpy.
    cells
        Rows that numpy takes at a time.
    """
    if device is None or not len(arrays[0]):
        parts = []
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(0, max(1, len(arrays[0])), cells):
                rows = [array[i : i + cells].astype(np.float64, copy=False) for array in arrays]
                parts.append(function(layers, *rows))
    else:
        parts = _on_device(function, layers, arrays, device)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _on_device(
    function: Callable[..., torch.Tensor], layers: Layers, arrays: Sequence[np.ndarray], device: torch.device
) -> list[np.ndarray]:
    import torch

    there = [tuple(torch.as_tensor(array, device=device) for array in layer) for layer in layers]
    values_per_cell = sum(array.shape[1] for array in arrays) + sum(len(bias) for _, bias in layers)
    size = cells_at_a_time(device, 2 * 8 * values_per_cell)  # of a layer, its sums and what the ReLU leaves of them

    def ask(part: slice) -> np.ndarray:
        rows = [torch.as_tensor(np.ascontiguousarray(array[part]), device=device).double() for array in arrays]
        answer: np.ndarray = function(there, *rows).cpu().numpy()
        return answer

    return [answer for _, answer in in_batches(len(arrays[0]), size, ask)]
