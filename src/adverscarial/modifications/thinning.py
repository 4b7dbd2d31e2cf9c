"""Counts as if the cells had been sequenced less deeply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import DataError, some
from adverscarial.modifications.base import check_number
from adverscarial.modifications.loss import Loss


@dataclass(frozen=True, repr=False)
class Thinning(Loss, name="thinning"):
    """Every cell's counts as sequencing to a share `depth` gives them: a count k becomes Binomial(k, depth).

    Each molecule is kept or lost by itself; integer data stay integer.

    Parameters
    ----------
    depth
        Share of the molecules that is kept, 0 to 1.

    Notes
    -----
    Needs raw counts: a DataError says what was found where a value is negative or not whole.
    """

    depth: float

    examples: ClassVar[dict[str, str]] = {
        "thinning:0.5": "keep each counted molecule with probability one half (raw counts only)"
    }
    place = 60

    def __post_init__(self) -> None:
        check_number("Thinning: depth", self.depth, 0, 1)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        from scipy.stats import binom

        counts = cluster.values(genes).astype(np.float64)
        bad = (counts < 0) | (counts != np.rint(counts))
        if bad.any():
            raise DataError(
                f"Thinning needs raw counts, whole and not negative: {int(bad.sum()):,} of {bad.size:,} values of "
                f"{some(cluster.genes[genes[bad.any(axis=0)]], 3)} are not, such as {counts[bad][0]:g}. "
                "Name the layer of counts with layer=."
            )
        out = np.zeros(counts.shape)
        for k, gene in enumerate(genes):
            full = counts[:, k] > 0
            # the draw's quantile, not numpy's binomial: a cell then keeps its draw whatever the other cells hold
            kept = binom.ppf(cluster.uniform(gene)[full], counts[full, k], self.depth)
            out[full, k] = np.maximum(kept, 0)  # scipy's quantile 0 is -1
        return out

    @property
    def meaning(self) -> str:  # noqa: D102
        return f"Every count is thinned to a share of {self.depth:g} of the sequencing depth."
