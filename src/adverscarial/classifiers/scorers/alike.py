"""Cells that are alike get the same label: proven at one point amid them, for a whole set of changed genes at once.

An aberrant value outweighs all that tells cells apart. Whether the label holds is then a question about one point and
a radius, not about each cell, and a search that asks tens of thousands of such queries need not touch the cells at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial._types import Ints

_SLACK = 1.000001  # of a radius: its own rounding


class _Steps(NamedTuple):
    """What changing each gene does, and where it stands in the first layer."""

    middle: np.ndarray
    apart: np.ndarray
    rows: np.ndarray


class _Network(NamedTuple):
    """All layers, the upper ones in one array: of each, the bias and then the weights of one input after the other."""

    first: np.ndarray
    flat: np.ndarray
    widths: np.ndarray
    norms: np.ndarray  # no sum of a layer exceeds the largest one below, times the first of these, plus the second
    growth: np.ndarray
    hidden: np.ndarray


class Alike:
    """All cells of a cluster, held as a point in the first layer's sums and how far they lie from it at most.

    Parameters
    ----------
    labels
        Names of the classes.
    rows
        Of the first layer, for each gene of the data set; -1 for genes that are not read.
    middle, apart
        Of each gene of the data set, shape (genes,): the middle of what its change is in the cells, and how far the
        first layer's sums of any cell come to lie from where that takes them, at most.
    mass
        Of all numbers that are ever added up for the sums: each addition is wrong by a small share of it.
    first
        The first layer's weights, shape (rows, units).
    layers
        The layers above, ``(kernel, bias)``.
    growth
        How much the difference of two scores can grow for a step of length 1 of the sums, shape (classes, classes).
    hidden
        What rounding and ties may hide of a difference: a number, and a share of the size of the scores.
    """

    def __init__(
        self, labels: np.ndarray, rows: Ints, middle: np.ndarray, apart: np.ndarray, mass: float,
        first: np.ndarray, layers: Sequence[tuple[np.ndarray, np.ndarray]], growth: np.ndarray,
        hidden: tuple[float, float],
    ) -> None:  # fmt: skip
        self.labels = labels
        self._steps = _Steps(middle, apart, np.maximum(rows, 0))
        self._network = _Network(
            np.ascontiguousarray(first),
            np.concatenate([part.ravel() for W, b in layers for part in (b, W)]),
            np.array([first.shape[1], *(len(b) for _, b in layers)]),
            np.array([(np.abs(W).sum(axis=0).max(), np.abs(b).max()) for W, b in layers]),
            growth,
            np.array(hidden),
        )
        self._rounding = 1e-15 * len(first) * mass
        self._point, self._reach = np.zeros(first.shape[1]), np.inf

    def centre(self, sums: np.ndarray) -> None:
        """Take the cells as they stand: the first layer's sums, shape (cells, units)."""
        self._point = sums.mean(axis=0)
        far = np.linalg.norm(sums - self._point, axis=1).max()
        self._reach = float(far) + self._rounding

    def code(self, genes: Ints) -> int:
        """Return the code of the label that all cells get with `genes` changed at once; -1 where none is proven."""
        return int(_code(np.ascontiguousarray(genes), self._steps, self._network, self._point, self._reach))

    def codes(self, genes: Ints) -> Ints:
        """Return the same for each gene changed alone."""
        return _codes(np.ascontiguousarray(genes), self._steps, self._network, self._point, self._reach)

    def accept(self, genes: Ints) -> None:
        """Change genes for good."""
        middle, apart, rows = self._steps
        self._point = self._point + middle[genes] @ self._network.first[rows[genes]]
        self._reach += float(apart[genes].sum())


@compiled
def _code(genes: np.ndarray, steps: _Steps, network: _Network, point: np.ndarray, reach: float) -> int:
    """Return the label that all cells get, -1 where none is proven; see :class:`Alike`."""
    middle, apart, rows = steps
    first, flat, widths, norms, growth, hidden = network
    sums = point.copy()
    for gene in genes:
        step, weights = middle[gene], first[rows[gene]]
        for u in range(len(sums)):
            sums[u] += step * weights[u]
        reach += apart[gene]
    size, start = np.abs(sums).max(), 0
    for layer in range(1, len(widths)):
        inputs, units = widths[layer - 1], widths[layer]
        above = flat[start : start + units].copy()
        start += units
        for i in range(inputs):
            value, weights = sums[i], flat[start : start + units]
            if not value <= 0:  # a value that is no number goes on
                for u in range(units):
                    above[u] += value * weights[u]
            start += units
        size = size * norms[layer - 1, 0] + norms[layer - 1, 1]
        sums = above
    best = int(np.argmax(sums))
    lost = hidden[0] + hidden[1] * size
    for k in range(len(sums)):
        # written so that a sum that is no number proves nothing
        if k != best and not sums[best] - sums[k] - lost > _SLACK * growth[best, k] * reach:
            return -1
    return best


@compiled
def _codes(genes: np.ndarray, steps: _Steps, network: _Network, point: np.ndarray, reach: float) -> np.ndarray:
    """Return :func:`_code` for each gene alone."""
    found = np.empty(len(genes), dtype=np.int64)
    for i in range(len(genes)):
        found[i] = _code(genes[i : i + 1], steps, network, point, reach)
    return found
