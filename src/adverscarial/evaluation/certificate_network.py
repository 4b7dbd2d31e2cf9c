"""Bounds on what changed genes do to a dense network, to check certificates by: nothing of the search is used.

If at most m genes change, each sum of the first layer stays between two ends: none rises by more than its m largest
rises together. Between these ends a ReLU lies below one straight line and above another. From the last layer down, each
ReLU is replaced by the line that makes the weighted sum of outputs larger; what is left is a weighted sum of genes,
whose m largest gains are added. The ends of the next layers are found in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial.classifiers.plain import PlainNetwork
from adverscarial.evaluation.certificate_votes import Bounds

_MARGIN = 1e-6  # two outputs that differ by less may be the same to a softmax in float32
_SHARE = 2e-8  # of what is added up above the first layer, which rounding may hide: sums in float64
_SHARE_SINGLE = 1e-4  # ... in float32
_EPSILON = 1.2e-16  # a sum of n numbers in float64 is wrong by at most n times this share of what is added up


class _Lines(NamedTuple):
    """The ReLUs of a layer are at most ``slope * z + offset``, and at least ``below * z``."""

    slope: np.ndarray
    offset: np.ndarray
    below: np.ndarray


def _lines(low: np.ndarray, high: np.ndarray) -> _Lines:
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    slope = np.divide(high, high - low, out=np.zeros_like(high), where=high > low)
    return _Lines(slope, -slope * low, np.where(high > -low, 1.0, 0.0))


class NetworkBounds(Bounds):
    """What genes can do to the outputs of a network."""

    def __init__(self, network: PlainNetwork, old: np.ndarray, new: np.ndarray) -> None:
        self._W, self._b = (part.astype(np.float64) for part in network.layers[0])
        self._above = [(W.astype(np.float64), b.astype(np.float64)) for W, b in network.layers[1:]]
        old, new = old.astype(np.float64), new.astype(np.float64)
        self._steps, self._sums = new - old, old @ self._W + self._b
        self.scores, self.exact = self._outputs(self._sums), False
        size, full = np.abs(self._sums), np.maximum(np.abs(old), np.abs(new)) @ np.abs(self._W) + np.abs(self._b)
        for W, b in self._above:
            size, full = (part @ np.abs(W) + np.abs(b) for part in (size, full))
        share = _SHARE_SINGLE if network.single else _SHARE
        self.hidden = _MARGIN + share * size.max(axis=1) + _EPSILON * old.shape[1] * full.max(axis=1)
        self._kept: tuple[tuple[int, int], list[_Lines]] | None = None

    def _outputs(self, sums: np.ndarray) -> np.ndarray:
        for W, b in self._above:
            sums = np.maximum(sums, 0.0) @ W + b
        return sums

    def scores_of(self, values: np.ndarray) -> np.ndarray:  # noqa: D102
        return self._outputs(values.astype(np.float64) @ self._W + self._b)

    def reaches(self, c: np.ndarray, cell: int, m: int, *, strict: bool) -> bool:
        """Return whether some `m` genes might bring ``c . scores`` of a cell up to 0; a tie is taken for enough."""
        if self.scores[cell] @ c >= -self.hidden[cell]:
            return True
        W, b = self._above[-1]
        weights, constant = self._down(self._all_lines(cell, m), (W @ c)[:, None], np.array([b @ c]))
        most = constant + self._sums[cell] @ weights + self._rise(cell, weights, m)
        return bool(most[0] >= -self.hidden[cell])

    def _rise(self, cell: int, weights: np.ndarray, m: int) -> np.ndarray:
        """Return how far `m` genes can raise each weighted sum of the first layer's sums, shape (sums,)."""
        moving = np.flatnonzero(self._steps[cell])
        gains = np.maximum((weights.T @ self._W[moving].T) * self._steps[cell, moving], 0.0)
        if m < len(moving):
            gains = np.partition(gains, len(moving) - m, axis=1)[:, len(moving) - m :]
        return np.asarray(gains.sum(axis=1))

    def _down(self, lines: list[_Lines], weights: np.ndarray, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights of the first layer's sums, and constants, that are never below weighted sums of ReLUs.

        `weights` weigh the ReLUs of the layer of the last lines, shape (units, sums).
        """
        for layer in reversed(range(len(lines))):
            slope, offset, below = lines[layer]
            raising, lowering = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
            constant = constant + offset @ raising
            weights = slope[:, None] * raising + below[:, None] * lowering
            if layer:
                W, b = self._above[layer - 1]
                constant, weights = constant + b @ weights, W @ weights
        return weights, constant

    def _all_lines(self, cell: int, m: int) -> list[_Lines]:
        """Return the lines of all layers with ReLU, for at most `m` changed genes."""
        if self._kept is not None and self._kept[0] == (cell, m):
            return self._kept[1]
        units, sums = np.eye(len(self._b)), self._sums[cell]
        lines = [_lines(sums - self._rise(cell, -units, m), sums + self._rise(cell, units, m))]
        for W, b in self._above[:-1]:
            ends = []
            for sign in (1.0, -1.0):
                weights, constant = self._down(lines, sign * W, sign * b)
                ends.append(sign * (constant + sums @ weights + self._rise(cell, weights, m)))
            lines.append(_lines(ends[1], ends[0]))
        self._kept = (cell, m), lines
        return lines

    def alone(self, cell: int) -> np.ndarray:  # noqa: D102
        return self._outputs(self._sums[cell] + self._steps[cell][:, None] * self._W)
