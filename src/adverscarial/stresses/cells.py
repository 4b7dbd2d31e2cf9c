"""Counts of all cells, with what the changes need to know of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from adverscarial._types import Floats, Ints
from adverscarial.errors import DataError, did_you_mean, some


@dataclass(frozen=True)
class CountCells:
    """Counts of all cells of a data set.

    Attributes
    ----------
    counts
        Cells x genes, whole numbers, CSR of int64.
    genes
        Names of the genes.
    clusters
        Cluster of each cell, text; None where it is missing.
    batches
        Batch of each cell, text; None where none are named.
    """

    counts: sp.csr_array
    genes: pd.Index
    clusters: np.ndarray
    batches: np.ndarray | None = None
    _profiles: dict[tuple[str, ...], Floats] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def totals(self) -> Ints:
        """Library size of each cell."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.int64)

    @cached_property
    def bounds(self) -> Ints:
        """Where each stored count ends, when the molecules of all cells stand in one row."""
        return np.cumsum(self.counts.data)

    def batch_of(self, rows: Ints) -> np.ndarray:
        """Return the batch of some cells; one for all, where none are named."""
        return np.full(len(rows), "") if self.batches is None else self.batches[rows]

    def of_batch(self, batch: str) -> Ints:
        """Return the cells of a batch; all, where none are named."""
        return np.arange(len(self.clusters)) if self.batches is None else np.flatnonzero(self.batches == batch)

    def mean_profile(self, batch: str) -> Floats:
        """Return each gene's share of all counts of a batch, shape (genes,); computed once."""
        return self.once(("mean", batch), lambda: shares(self.counts[self.of_batch(batch)]))

    def once(self, key: tuple[str, ...], profile: Callable[[], Floats]) -> Floats:
        """Return a profile that is needed at every strength; it is computed at the first."""
        if key not in self._profiles:
            self._profiles[key] = profile()
        return self._profiles[key]

    def levels(self) -> list[str]:
        """Return the names of the batches.

        Raises
        ------
        DataError
            If none are named.
        """
        if self.batches is None:
            raise DataError(
                "A batch shift is measured between two levels of a column of obs: name the column with batch= "
                "(--batch), for example batch='condition'."
            )
        return sorted({str(name) for name in self.batches if name not in (None, "")})  # no name is no batch

    def rows_of(self, level: str, among: Ints) -> Ints:
        """Return the cells of one batch among some.

        Raises
        ------
        DataError
            If there is no such batch.
        """
        known = self.levels()
        if level not in known:
            raise DataError(f"There is no batch '{level}'.{did_you_mean(level, known)} There are: {some(known, 12)}.")
        assert self.batches is not None
        return np.asarray(among[self.batches[among] == level])


def shares(counts: sp.csr_array, more: float = 0.0) -> Floats:
    """Return each gene's share of all counts, with `more` counts added to each gene, shape (genes,)."""
    sums = np.asarray(counts.sum(axis=0), dtype=np.float64) + more
    total = sums.sum()
    return sums / total if total > 0 else sums
