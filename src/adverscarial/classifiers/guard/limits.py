"""What values are possible: learnt from cells, gene by gene and cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np

from adverscarial._types import Floats
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError

_CELLS = 1024  # made dense at a time
#: narrower than this, in log units and in shares, no range of library sizes or of zeros is taken to be
_NARROW_SIZE, _NARROW_ZEROS = 0.1, 0.05
#: a limit of counts this near to the next whole number is that number
_ROUNDING = 1e-9
#: sums that differ by less than this share of what was added up are summed anew
_NEAR = 1e-9


class Totals(NamedTuple):
    """Of some cells: the sum of the values, and how many are 0."""

    size: Floats
    zeros: Floats


@dataclass(frozen=True, eq=False)
class Limits:
    """The values that are possible.

    Attributes
    ----------
    lowest, highest
        Range of each gene in the cells that it was learnt from, shape (genes,).
    low, high
        The same with the margin: values beyond are impossible.
    unit
        The widest range of any gene; for counts in log(1 + count). Margins and :meth:`beyond` are in this unit.
    whole
        Whether all values were whole numbers, as counts are. Others are then impossible.
    size
        Least and largest sum of a cell that is possible; infinite where nothing is asked of it.
    zeros
        Least and largest share of genes at 0 that is possible; infinite where nothing is asked of it.
    learnt_size, learnt_zeros
        The same as they were in the cells.
    """

    lowest: Floats
    highest: Floats
    low: Floats
    high: Floats
    unit: float
    whole: bool
    size: tuple[float, float]
    zeros: tuple[float, float]
    learnt_size: tuple[float, float]
    learnt_zeros: tuple[float, float]

    @classmethod
    def learn(cls, matrix: CellMatrix, genes: np.ndarray, *, margin: float, quantile: float, of_cells: bool) -> Self:
        """Learn from cells x `genes` (positions).

        Parameters
        ----------
        matrix, genes
            The cells, and the genes that are watched.
        margin
            How far beyond its range a gene may go, in units of the widest range of any gene.
        quantile
            A gene's range ends here and at ``1 - quantile``.
        of_cells
            Whether to learn library sizes and shares of zeros.

        Raises
        ------
        DataError
            If there are no cells or no genes.
        """
        if not matrix.shape[0] or not len(genes):
            raise DataError(f"A guard learns from cells; it got {matrix.shape[0]} cells x {len(genes)} genes.")
        statistics = GeneStatistics(matrix)
        lowest, highest = statistics.quantile(genes, 1 - quantile), statistics.quantile(genes, quantile)
        sizes, shares, whole = _cells(matrix, genes)
        negative = bool((statistics.minimum(genes) < 0).any())
        whole = whole and not negative
        bottom, top = _scaled(lowest, whole), _scaled(highest, whole)
        unit = float((top - bottom).max()) or 1.0
        low, high = _unscaled(bottom - margin * unit, whole), _unscaled(top + margin * unit, whole)
        low = low if negative else np.maximum(low, 0.0)
        if whole:
            low, high = np.ceil(low - _ROUNDING * (1 + low)), np.floor(high + _ROUNDING * (1 + high))
        learnt_size, learnt_zeros = _range(sizes), _range(shares)
        size = zeros = (-np.inf, np.inf)
        if of_cells:
            zeros = _wider(learnt_zeros, margin, _NARROW_ZEROS)
            if not negative:
                a, b = _wider((float(np.log1p(learnt_size[0])), float(np.log1p(learnt_size[1]))), margin, _NARROW_SIZE)
                # there and back is not exact, and what was learnt is possible
                size = min(float(np.expm1(a)), learnt_size[0]), max(float(np.expm1(b)), learnt_size[1])
        # as float32 holds them, so that a clipped value lies within the limits in either number type
        return cls(
            lowest,
            highest,
            _as_float32(low, -np.inf),
            _as_float32(high, np.inf),
            unit,
            whole,
            size,
            zeros,
            learnt_size,
            learnt_zeros,
        )

    @classmethod
    def around_zero(cls, limit: float, n_genes: int) -> Self:
        """Return limits that are the same for every gene, on either side of 0; nothing is learnt."""
        high = np.full(n_genes, limit)
        open_, none = (-np.inf, np.inf), (0.0, 0.0)
        return cls(-high, high, -high, high, 2 * limit, False, open_, open_, none, none)

    @property
    def of_cells(self) -> bool:
        """Whether anything is asked of a cell as a whole."""
        return bool(np.isfinite([*self.size, *self.zeros]).any())

    def impossible(self, values: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """Return which values of `genes` (positions among those watched) no cell can have, bool, shape of `values`."""
        values = np.asarray(values, dtype=np.float64)
        within = (values >= self.low[genes]) & (values <= self.high[genes])
        if self.whole:
            within &= values == np.rint(values)
        outside: np.ndarray = ~within
        return outside

    def clipped(self, values: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """Return the nearest possible values of `genes` (positions among those watched), shape and type of `values`."""
        inside = np.asarray(values, dtype=np.float64)
        inside = np.clip(np.rint(inside) if self.whole else inside, self.low[genes], self.high[genes])
        return inside.astype(values.dtype)

    def totals(self, X: np.ndarray) -> Totals:
        """Return what is asked of whole cells, of cells x all watched genes."""
        with np.errstate(over="ignore"):
            return Totals(X.sum(axis=1, dtype=np.float64), (X == 0).sum(axis=1).astype(np.float64))

    def impossible_cells(self, totals: Totals) -> np.ndarray:
        """Return which cells are impossible as a whole; the totals may have any shape."""
        share, zeros = totals.zeros / len(self.low), self.zeros
        out = np.asarray((share < zeros[0]) | (share > zeros[1]))
        if np.isfinite(self.size).any():  # a sum that is no number is impossible
            out = out | ~((totals.size >= self.size[0]) & (totals.size <= self.size[1]))
        return out

    def undecided(self, size: np.ndarray, added_up: np.ndarray) -> np.ndarray:
        """Return which sums lie so near to a limit, or lost so much, that rounding may decide: sum these anew."""
        allowed = _NEAR * added_up
        near = np.zeros(size.shape, dtype=bool)
        for limit in self.size:
            if np.isfinite(limit):
                np.logical_or(near, ~(np.abs(size - limit) > allowed), out=near)
        return near

    def judged(self, X: np.ndarray) -> np.ndarray:
        """Return which cells are impossible, of cells x all watched genes."""
        found = np.asarray(self.impossible(X, np.arange(X.shape[1])).any(axis=1))
        if self.of_cells:
            np.logical_or(found, self.impossible_cells(self.totals(X)), out=found)
        return found

    def beyond(self, X: np.ndarray) -> Floats:
        """Return the smallest margin with which each cell would be possible, of cells x all watched genes.

        0: it lies within all that was learnt. Infinite: no margin allows a value that is not whole among counts.
        """
        X = np.asarray(X, dtype=np.float64)
        scaled = _scaled(X, self.whole)
        over = np.maximum(scaled - _scaled(self.highest, self.whole), _scaled(self.lowest, self.whole) - scaled)
        found: Floats = np.maximum(over.max(axis=1), 0.0) / self.unit
        if self.whole:
            found[(np.rint(X) != X).any(axis=1)] = np.inf
        if not self.of_cells:
            return found
        totals = self.totals(X)
        parts = [(totals.zeros / X.shape[1], self.learnt_zeros, _NARROW_ZEROS)]
        if np.isfinite(self.size).any():
            low, high = np.log1p(np.maximum(self.learnt_size, 0))
            parts.append((np.log1p(np.maximum(totals.size, 0)), (float(low), float(high)), _NARROW_SIZE))
        for values, (low, high), narrow in parts:
            found = np.maximum(found, np.maximum(values - high, low - values) / max(high - low, narrow))
        return found

    def state(self) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
        """Return what must be stored: JSON values, where an infinite limit is None, and arrays."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        meta = {
            name: [number if np.isfinite(number) else None for number in value] if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in arrays
        }
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what :meth:`state` returned."""

        def ends(name: str) -> tuple[float, float]:
            a, b = meta[name]
            return -np.inf if a is None else float(a), np.inf if b is None else float(b)

        lowest, highest, low, high = (np.asarray(arrays[n], np.float64) for n in ("lowest", "highest", "low", "high"))
        return cls(
            lowest, highest, low, high, float(meta["unit"]), bool(meta["whole"]),
            ends("size"), ends("zeros"), ends("learnt_size"), ends("learnt_zeros"),
        )  # fmt: skip


def _cells(matrix: CellMatrix, genes: np.ndarray) -> tuple[Floats, Floats, bool]:
    """Return the sum and the share of zeros of each cell, and whether all values are whole."""
    sizes, shares, whole = [], [], True
    for start in range(0, matrix.shape[0], _CELLS):
        X = matrix.rows(np.arange(start, min(start + _CELLS, matrix.shape[0])))[:, genes]
        sizes.append(X.sum(axis=1, dtype=np.float64))
        shares.append((X == 0).mean(axis=1))
        whole = whole and bool((np.rint(X) == X).all())
    return np.concatenate(sizes), np.concatenate(shares), whole


def _scaled(values: np.ndarray, counts: bool) -> Floats:
    """Return counts as log(1 + count), other values as they are."""
    return np.sign(values) * np.log1p(np.abs(values)) if counts else values


def _unscaled(values: np.ndarray, counts: bool) -> Floats:
    return np.sign(values) * np.expm1(np.abs(values)) if counts else values


def _as_float32(values: np.ndarray, towards: float) -> Floats:
    """Return the nearest values that float32 holds and that do not lie inside: above, or below, as `towards` says."""
    with np.errstate(over="ignore"):
        held = values.astype(np.float32)
        inside = held > values if towards < 0 else held < values
        held = np.where(inside, np.nextafter(held, np.float32(towards)), held).astype(np.float64)
    return np.where(np.isfinite(held), held, values)


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _wider(learnt: tuple[float, float], margin: float, narrow: float) -> tuple[float, float]:
    width = margin * max(learnt[1] - learnt[0], narrow)
    return learnt[0] - width, learnt[1] + width
