"""What changed genes can do to the outputs of dense layers with ReLU: bounds by straight lines around each ReLU.

The sums of layer 1 are ``A + (sum over changed genes j of step_j * W1[j])``. If at most m genes change, each sum
stays in a box. There, a ReLU lies between two straight lines. Put in place of the ReLUs, the lines turn any weighted
sum of outputs into one weighted sum of the first layer's sums that is never smaller; there, genes simply add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.prefixes import fewest, largest_sums
from adverscarial.classifiers.scorers.usual_values import UsualValues, usual_values

_MOST = 512  # no bound is asked for more genes than this at a time


class _Lines(NamedTuple):
    """Two lines for each ReLU of a layer: it is at most ``upper * z + offset``, and at least ``lower * z``."""

    upper: np.ndarray
    offset: np.ndarray
    lower: np.ndarray


def _lines(low: np.ndarray, high: np.ndarray) -> _Lines:
    """Return the lines for ReLUs whose inputs lie between `low` and `high`."""
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    width = high - low
    upper = np.divide(high, width, out=np.zeros_like(high), where=width > 0)
    return _Lines(upper, -upper * low, (high > -low).astype(np.float64))


class ReluMoves(Moves):
    """Moves of a dense network.

    Parameters
    ----------
    sums
        Input sums of the first layer, shape (cells, units).
    steps
        New value minus old value, shape (cells, genes).
    first
        The first layer's weights of these genes, shape (genes, units).
    layers
        ``(kernel, bias)`` of the layers above; with none, the sums are the outputs.
    codes
        Labels as the classifier gives them.
    tolerance, margin
        See :class:`Moves`.
    terms
        How much is added up for `sums`, whatever cancels and whichever genes change, shape (cells, units); then for the
        bias of each of `layers`. Left out, ten times what the numbers as they stand show.
    """

    cheap: ClassVar[bool] = False

    def __init__(
        self, sums: np.ndarray, steps: np.ndarray, first: np.ndarray,
        layers: Sequence[tuple[np.ndarray, np.ndarray]], codes: np.ndarray | None, *, tolerance: float, margin: float,
        terms: Sequence[np.ndarray] | None = None,
    ) -> None:  # fmt: skip
        self._A, self._given, self._first, self._layers = sums, steps, first, list(layers)
        self.scores, self.n_genes = self._above(sums), steps.shape[1]
        self.codes = np.argmax(self.scores, axis=1) if codes is None else codes
        self.tolerance, self.margin = tolerance, margin
        self._terms = terms
        self._kept: dict[tuple[int, int], list[_Lines]] = {}
        self._turned: list[np.ndarray] = []
        self._forms: list[UsualValues | None] = []
        self._gone = np.zeros(self.n_genes, dtype=bool)  # genes that have been changed and do nothing any more

    @cached_property
    def size(self) -> np.ndarray:  # type: ignore[override]  # many who ask for moves only climb, and need none
        """How much is added up for the scores of each cell."""
        size, *added = self._terms or [np.abs(self._A), *(np.abs(b) for _, b in self._layers)]
        for (W, _), more in zip(self._layers, added, strict=True):
            size = size @ np.abs(W) + more
        found: np.ndarray = (10 if self._terms is None else 1) * size.max(axis=1)
        return found

    @cached_property
    def _steps(self) -> np.ndarray:
        """The steps that are left; a search that only climbs needs no copy of all for each of its own steps."""
        return np.where(self._gone, 0.0, self._given) if self._gone.any() else self._given

    def _above(self, sums: np.ndarray) -> np.ndarray:
        for W, b in self._layers:
            sums = np.maximum(sums, 0.0) @ W + b
        return sums

    def bound(self, c: np.ndarray, cells: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Moves.bound`; the lines hold for at most `m` changed genes."""
        if not self._layers:
            return self.scores[cells] @ c, np.maximum(0.0, self._steps[cells] * (self._first @ c))
        t, G = np.empty(len(cells)), np.empty((len(cells), self.n_genes))
        for i, cell in enumerate(cells):
            W, b = self._layers[-1]
            weights, constant = self._back(self._boxes(int(cell), m), (W @ c)[:, None], np.array([b @ c]))
            t[i] = constant[0] + weights[:, 0] @ self._A[cell]
            G[i] = np.maximum(0.0, self._steps[cell] * (self._first @ weights[:, 0]))
        return t, G

    def _back(self, lines: list[_Lines], weights: np.ndarray, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights of the first layer's sums, and constants, that bound weighted sums of ReLUs from above.

        Parameters
        ----------
        lines
            Of each layer from the first to the one whose ReLUs are weighted.
        weights, constant
            Shapes (units, sums) and (sums,).
        """
        for layer in range(len(lines) - 1, -1, -1):
            plus, minus = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
            constant = constant + lines[layer].offset @ plus
            weights = lines[layer].upper[:, None] * plus + lines[layer].lower[:, None] * minus
            if layer > 0:
                W, b = self._layers[layer - 1]
                constant, weights = constant + b @ weights, W @ weights
        return weights, constant

    def _boxes(self, cell: int, m: int) -> list[_Lines]:
        """Return the lines of all ReLU layers for one cell with at most `m` changed genes."""
        if (cell, m) in self._kept:
            return self._kept[cell, m]
        rise, fall = (largest_sums(self._first, sign * self._steps[cell], m) for sign in (1.0, -1.0))
        lines = [_lines(self._A[cell] - fall, self._A[cell] + rise)]
        for W, b in self._layers[:-1]:
            ends = []
            for sign in (1.0, -1.0):
                weights, constant = self._back(lines, sign * W, sign * b)
                ends.append(sign * (constant + self._A[cell] @ weights + self._reach(cell, weights, m)))
            lines.append(_lines(ends[1], ends[0]))
        self._kept[cell, m] = lines
        return lines

    def _reach(self, cell: int, weights: np.ndarray, m: int) -> np.ndarray:
        """Return how far `m` genes can raise each weighted sum of the first layer's sums, shape (sums,)."""
        return largest_sums(self._first @ weights, self._steps[cell], m)

    def fewest(self, c: np.ndarray, cells: np.ndarray, *, strict: bool) -> np.ndarray:
        """See :meth:`Moves.fewest`; m is doubled while no set of m genes is enough, then halved in."""
        return np.array([self._fewest(c, int(cell)) for cell in cells], dtype=np.int64)

    def _fewest(self, c: np.ndarray, cell: int) -> int:
        """Return the bound for one cell; sets of at most `low` genes are refuted."""
        low, m, proven = 0, 1, 0
        high = 0  # the smallest m that could not be refuted; 0 before there is one
        while True:
            needed = self._prefix(c, cell, m)
            proven = max(proven, needed if m >= self.n_genes else min(needed, m + 1))
            if needed > m:
                low = m
                if m >= min(self.n_genes, _MOST):
                    return proven
            else:
                high, low = m, max(low, needed - 1)
            if high and high - low <= 1:
                return proven
            m = (low + high) // 2 if high else min(2 * m, self.n_genes)

    def need_more(self, c: np.ndarray, cells: np.ndarray, m: int) -> np.ndarray:
        """Return for which cells it is proven that more than `m` genes are needed to bring ``c . scores`` up to 0."""
        return np.array([self._prefix(c, int(cell), m) > m for cell in cells], dtype=bool)

    def _prefix(self, c: np.ndarray, cell: int, m: int) -> int:
        cells = np.array([cell])
        t, G = self.bound(c, cells, m)
        gains = G[0][G[0] > 0]
        return int(fewest(gains, len(gains), float(self._need(t, cells, self.tolerance, sure=False)[0]), False))

    def scores_with(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return self._above(self._sums_with(genes))

    def scores_with_each(self, genes: np.ndarray, others: np.ndarray) -> np.ndarray:  # noqa: D102
        return self._above(self._sums_with(genes) + self._steps[0, others][:, None] * self._first[others])

    def scores_without_each(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return self._above(self._sums_with(genes) - self._steps[0, genes][:, None] * self._first[genes])

    def _sums_with(self, genes: np.ndarray) -> np.ndarray:
        steps = np.where(self._gone[genes], 0.0, self._given[:, genes])
        sums: np.ndarray = self._A + steps @ self._first[genes]
        return sums

    def effects_with(self, genes: np.ndarray, omega: np.ndarray, some: np.ndarray) -> np.ndarray:  # noqa: D102
        cells, back = self._gradient(omega, self._sums_with(genes))
        effects: np.ndarray = (self._steps[np.ix_(cells, some)] * (back @ self._first[some].T)).sum(axis=0)
        return effects

    def effects(self, omega: np.ndarray) -> np.ndarray:
        """See :meth:`Moves.effects`; by the gradient."""
        if self._usual is None:
            return self._effects_of_all(omega)
        effects = self._usual.weighted(self.gradient(omega), self._first)
        effects[self._gone] = 0.0
        return effects

    def gradient(self, omega: np.ndarray) -> np.ndarray:
        """Return the derivative of ``(omega * scores).sum()`` with respect to the first layer's sums, all cells'."""
        cells, back = self._gradient(omega, self._A)
        if len(cells) == len(self._A):
            return back
        found = np.zeros(self._A.shape)
        found[cells] = back
        return found

    @property
    def _usual(self) -> UsualValues | None:
        """The steps in another form, where that is quicker: made once, also for what is left of these moves."""
        if not self._forms:
            self._forms.append(usual_values(self._given))
        return self._forms[0]

    def _effects_of_all(self, omega: np.ndarray) -> np.ndarray:
        """Return :meth:`effects` by a product with the steps of all cells."""
        cells, back = self._gradient(omega, self._A)
        used = np.flatnonzero(back.any(axis=0))  # many units are silent in all cells
        steps = self._given if len(cells) == len(self._given) else self._given[cells]
        back, first = np.ascontiguousarray(back[:, used]), self._units()[used]
        if len(cells) < len(used):  # the smaller one of two large products
            effects: np.ndarray = np.einsum("cg,cg->g", steps, back @ first)
        else:
            effects = np.einsum("ug,ug->g", back.T @ steps, first)
        effects[self._gone] = 0.0
        return effects

    def _units(self) -> np.ndarray:
        """Return the first layer's weights, unit by unit: copied once, also for what is left of these moves."""
        if not self._turned:
            self._turned.append(np.ascontiguousarray(self._first.T))
        return self._turned[0]

    def effects_of(self, omega: np.ndarray, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        cells, back = self._gradient(omega, self._A)
        effects: np.ndarray = (self._steps[np.ix_(cells, genes)] * (back @ self._first[genes].T)).sum(axis=0)
        return effects

    def _gradient(self, omega: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells that count, and the derivative with respect to their first layer's sums, which are given."""
        cells = np.flatnonzero(omega.any(axis=1))
        if not self._layers:
            return cells, omega[cells]
        sums = [first[cells]]
        for W, b in self._layers[:-1]:
            sums.append(np.maximum(sums[-1], 0.0) @ W + b)
        back = omega[cells]
        for (W, _), z in zip(self._layers[::-1], sums[::-1], strict=True):
            back = (back @ W.T) * (z > 0)
        return cells, back

    def changed(self, genes: np.ndarray) -> ReluMoves:  # noqa: D102
        sums, given = self._sums_with(genes), self._given
        other = ReluMoves(
            sums, given, self._first, self._layers, None, tolerance=self.tolerance, margin=self.margin,
            terms=self._terms,
        )  # fmt: skip
        other.labels, other._turned, other._forms, other._gone = (
            self.labels,
            self._turned,
            self._forms,
            self._gone.copy(),
        )
        other._gone[genes] = True
        return other

    def part(self, cells: np.ndarray) -> ReluMoves:  # noqa: D102
        terms = None if self._terms is None else [self._terms[0][cells], *self._terms[1:]]
        other = ReluMoves(
            self._A[cells], self._steps[cells], self._first, self._layers, self.codes[cells], tolerance=self.tolerance,
            margin=self.margin, terms=terms,
        )  # fmt: skip
        other.labels = self.labels
        return other
